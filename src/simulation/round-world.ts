/** One round of a simulation: a broker, a coordinator and all devices come to life, play it, and are gone. */
import type { ModelShape } from "../base/model-shape.ts";
import { Rng } from "../base/rng.ts";
import { storeBaseFiles } from "../coordinator/base-files.ts";
import type { CoordinatorConfig } from "../coordinator/config.ts";
import { runCoordinator } from "../coordinator/run-coordinator.ts";
import { takeUnsynced } from "../coordinator/run-journal.ts";
import type { MaybeEvaluate } from "../coordinator/global-model.ts";
import type { HeadShapes } from "../coordinator/update-layout.ts";
import type { RunEvent, RunSummary } from "../coordinator/run-events.ts";
import { MemoryBroker } from "../transport/memory.ts";
import type { FleetScorer } from "./fleet-scores.ts";
import { InstalledBase } from "./installed-base.ts";
import type { Pricing } from "./pricing.ts";
import { drawConditions, dutyAt, type SimulatedMachine, type TimeFactors } from "./profiles.ts";
import { BlobPool } from "./shared-blobs.ts";
import { type Disk, RoundMemory, SimulatedDevice } from "./simulated-device.ts";
import { newDeviceState, type DeviceState, type SimulationState } from "./simulation-state.ts";
import { VirtualClock } from "./virtual-clock.ts";
import type { JobRunner } from "./worker-pool.ts";

/** What all rounds share. */
export interface WorldParts {
  readonly seed: number;
  readonly config: CoordinatorConfig;
  readonly machines: readonly SimulatedMachine[];
  readonly pool: JobRunner;
  readonly scorer: FleetScorer;
  readonly pricing: Pricing;
  readonly factors: TimeFactors;
  readonly shape: ModelShape;
  readonly heads: HeadShapes;
  /** Score after the first, the last, and every so many rounds. */
  readonly scoreEvery: number;
  /** Whether devices have the base from the start. */
  readonly baseInstalled: boolean;
  readonly signal: AbortSignal;
}

/** Where the round before has ended, in virtual time, and what its devices have kept. */
export type RoundStart = Pick<SimulationState, "nowMs" | "devices">;

export interface RoundResult {
  readonly summary: RunSummary;
  readonly devices: Record<string, DeviceState>;
  readonly nowMs: number;
  /** Timers that fired. */
  readonly numEvents: number;
}

/**
 * Plays round `round` from `startMs` on. The processes know what the real ones keep across a restart, the run folder and the
 * devices' own state, so that playing on from a saved round is the same as playing on from the one before.
 */
export async function playRound(
  parts: WorldParts,
  round: number,
  start: RoundStart,
  onEvent: OnWorldEvent,
): Promise<RoundResult> {
  return new RoundWorld(parts, round, start).play(onEvent);
}

/** `gflops` gives the billions of operations of all training that has come to its end. */
export type OnWorldEvent = (atMs: number, event: RunEvent, gflops: () => number) => void;

/** Whether one world has to last for the whole run, since work outlives rounds. */
export function isOneWorld({ mode }: CoordinatorConfig): boolean {
  return mode.kind === "buffered";
}

class RoundWorld {
  readonly #parts: WorldParts;
  readonly #round: number;
  readonly #clock: VirtualClock;
  readonly #broker: MemoryBroker;
  readonly #blobs = new BlobPool();
  readonly #devices: Map<string, DeviceState>;
  readonly #disks = new Map<string, Disk>();
  #baseRoots: string[] = [];
  readonly #numStartsOf = new Map<string, number>();
  #numStarts = 0;

  constructor(parts: WorldParts, round: number, start: RoundStart) {
    this.#parts = parts;
    this.#round = round;
    this.#devices = new Map(Object.entries(start.devices));
    this.#clock = new VirtualClock(start.nowMs);
    const rng = this.#rng("broker");
    this.#broker = new MemoryBroker({ clock: this.#clock, rng });
  }

  async play(onEvent: OnWorldEvent): Promise<RoundResult> {
    const { config, machines, signal } = this.#parts;
    const clock = this.#clock;
    const files = await storeBaseFiles(config.base, this.#blobs.store());
    this.#baseRoots = files.map(({ root }) => root);
    for (const machine of machines) this.#live(machine);
    const summary = await clock.run(this.#coordinate(onEvent), signal);
    const devices = Object.fromEntries(this.#devices);
    return { summary, devices, nowMs: clock.nowMs(), numEvents: clock.numEvents };
  }

  /** The coordinator goes on from the round before and stops once this one is saved; after the last one it ends the run. */
  #coordinate(onEvent: OnWorldEvent): Promise<RunSummary> {
    const { config, machines, seed, shape, heads } = this.#parts;
    const clock = this.#clock;
    const isLast = isOneWorld(config) || this.#round === config.rounds;
    const isOn = (machine: SimulatedMachine): boolean => dutyAt(machine, clock.nowMs(), seed).isOn;
    const minDevices = Math.max(config.minDevices, machines.filter(isOn).length);
    const done = new AbortController();
    return runCoordinator(
      { ...config, minDevices },
      {
        factory: this.#broker,
        clock,
        rng: this.#rng("coordinator"),
        evaluate: this.#evaluation(),
        shape,
        heads,
        onEvent: (event) => {
          if (event.kind === "checkpoint" && !isLast) done.abort();
        },
        log: (atMs, event) => onEvent(atMs, event, () => this.#gflops()),
        takeJournal: takeUnsynced,
        resume: this.#round > 1,
        store: this.#blobs.store(),
        signal: done.signal,
      },
    );
  }

  /** Scores the first round, the last, and every so many; where all rounds are played here they are counted by what is scored. */
  #evaluation(): MaybeEvaluate | null {
    const { config, scorer, scoreEvery } = this.#parts;
    const isScored = (round: number): boolean =>
      round <= 1 || round === config.rounds || round % scoreEvery === 0;
    const evaluate = scorer.evaluation(this.#clock);
    if (!isOneWorld(config)) return isScored(this.#round) ? evaluate : null;
    let round = 0;
    return (...args) => (isScored(round++) ? evaluate(...args) : Promise.resolve(null));
  }

  #gflops(): number {
    return [...this.#devices.values()].reduce((sum, { gflops }) => sum + gflops, 0);
  }

  /** Lets a device be on and off as its duty cycle says. */
  #live(machine: SimulatedMachine): void {
    const { seed } = this.#parts;
    const clock = this.#clock;
    const { isOn, changesAtMs } = dutyAt(machine, clock.nowMs(), seed);
    const device = isOn ? this.#start(machine) : null;
    if (changesAtMs === Infinity) return;
    clock.at(changesAtMs, () => {
      device?.cutPower();
      this.#live(machine);
    });
  }

  #start(machine: SimulatedMachine): SimulatedDevice {
    const { seed, config, pool, pricing, factors } = this.#parts;
    const { id } = machine;
    const state = this.#stateOf(id);
    const nthStart = this.#numStartsOf.get(id) ?? 0;
    this.#numStartsOf.set(id, nthStart + 1);
    // Where one world lasts for the whole run, conditions change whenever the machine goes on.
    const period = isOneWorld(config) ? nthStart + 1 : this.#round;
    const change = (changes: Partial<DeviceState>): void =>
      void this.#devices.set(id, { ...this.#stateOf(id), ...changes });
    const base = new InstalledBase(config.base, this.#baseRoots, state.hasBase, () =>
      change({ hasBase: true }),
    );
    const device = new SimulatedDevice({
      ...{ clock: this.#clock, broker: this.#broker, pool, pricing, machine, base },
      conditions: drawConditions(machine, period, seed, factors),
      fleet: config.fleet,
      disk: this.#diskOf(id, base),
      rng: this.#rng(`${id}/${this.#numStarts++}`),
      memory: state.memory === null ? null : Buffer.from(state.memory, "base64"),
      onTrained: ({ gflops, memory }) => {
        change({
          gflops: this.#stateOf(id).gflops + gflops,
          memory: memory === null ? null : Buffer.from(memory).toString("base64"),
        });
      },
    });
    void device.start();
    return device;
  }

  #diskOf(id: string, base: InstalledBase): Disk {
    const known = this.#disks.get(id);
    if (known !== undefined) return known;
    const disk = { store: this.#blobs.store(base.roots()), memory: new RoundMemory(id) };
    this.#disks.set(id, disk);
    return disk;
  }

  #stateOf(id: string): DeviceState {
    const fresh = { ...newDeviceState, hasBase: this.#parts.baseInstalled };
    return this.#devices.get(id) ?? fresh;
  }

  #rng(purpose: string): Rng {
    return Rng.fromSeed(`${this.#parts.seed}/round ${this.#round}/${purpose}`);
  }
}
