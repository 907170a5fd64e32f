/** Carries out what the round machine decides and tells it what came of it: commands, timers, transfers and jobs. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../base/clock.ts";
import { Rng } from "../base/rng.ts";
import type { DeviceMessage, DeviceReport } from "../protocol/messages.ts";
import type { Selector } from "../strategies/selection/selector.ts";
import type { BlobRef } from "../transfer/blob-store.ts";
import type { BaseFile } from "./base-files.ts";
import { createBufferMachine } from "./buffer-machine.ts";
import { Commands } from "./commands.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { ControlChannel } from "./control-channel.ts";
import type { Downlink } from "./downlink.ts";
import type { FleetKnowledge } from "./fleet-knowledge.ts";
import type { GlobalModel } from "./global-model.ts";
import type { Ledger } from "./ledger.ts";
import { mergeRound } from "./merging.ts";
import type { RoundHost } from "./reception.ts";
import { type ReceivedUpdate, RoundResults } from "./round-results.ts";
import { createRoundMachine, isPending, newRun, taskRound, wantedKind } from "./round-machine.ts";
import type {
  RoundEffect,
  RoundInput,
  RoundSettings,
  RoundState,
  TimerName,
} from "./round-state.ts";
import type { RunEvent } from "./run-events.ts";
import { scoredModels } from "./scored-models.ts";
import type { Steering } from "./steering.ts";
import type { DropTally } from "./tallies.ts";
import type { UpdateInbox } from "./update-inbox.ts";
import type { UpdateScreen } from "./update-screen.ts";

export interface CoordinatorParts {
  readonly config: CoordinatorConfig;
  /** Names the run across restarts. */
  readonly run: string;
  readonly clock: Clock;
  readonly channel: ControlChannel;
  readonly inbox: UpdateInbox;
  readonly model: GlobalModel;
  readonly downlink: Downlink;
  readonly knowledge: FleetKnowledge;
  readonly steering: Steering;
  readonly screen: UpdateScreen;
  readonly ledger: Ledger;
  readonly drops: DropTally;
  readonly selector: Selector;
  readonly baseFiles: readonly BaseFile[];
  readonly tell: (event: RunEvent) => void;
}

export interface Outcome {
  readonly ok: boolean;
  readonly reason: string;
  /** What the fleet is told: the run is over, its coordinator is away for a while, or nothing since another one speaks now. */
  readonly farewell: "ended" | "gone" | null;
}

/** How long devices have to say goodbye when a run ends. */
const FAREWELL_MS = 3000;

export class Coordinator implements RoundHost {
  readonly ended: Promise<Outcome>;
  readonly #parts: CoordinatorParts;
  readonly #step: ReturnType<typeof createRoundMachine>;
  readonly #timers = new Map<TimerName | "farewell", Timer>();
  readonly #inputs: RoundInput[] = [];
  readonly #results = new RoundResults();
  readonly #commands: Commands;
  #isStepping = false;
  /** Devices whose updates are in the adapter that is being saved. */
  #merged: readonly string[] = [];
  #state: RoundState;
  #outcome: Outcome | null = null;
  #end: (outcome: Outcome) => void = () => undefined;

  constructor(parts: CoordinatorParts) {
    const { config, selector, model, steering } = parts;
    const { selection, seed, mode } = config;
    this.#parts = parts;
    this.#commands = new Commands({ ...parts, state: () => this.#state });
    const overlap = mode.kind === "buffered" ? { started: new Map() } : {};
    this.#state = { ...newRun, ...overlap, round: model.savedRound };
    const settings: RoundSettings = {
      ...config,
      select: (deviceIds, { round, attempt, numDone }) => {
        const able = steering.feasible(deviceIds, round);
        const wanted = selection.kind === "random" ? selection.count : able.length;
        const rng = Rng.fromSeed(`${seed}/select/${round}/${attempt}`);
        return selector.select(able, Math.max(0, wanted - numDone), rng);
      },
    };
    this.#step =
      mode.kind === "buffered"
        ? createBufferMachine({ ...settings, ...mode })
        : createRoundMachine(settings);
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  get round(): number {
    return this.#state.round;
  }

  /** Ends the run at once; devices are not dismissed, so that another process can go on with it. */
  interrupt(reason: string, farewell: "gone" | null): void {
    if (this.#outcome !== null) return;
    this.#outcome = { ok: false, reason, farewell };
    this.#parts.tell({ kind: "finished", ok: false, reason });
    this.#leave();
  }

  /** Inputs that effects cause wait until the effects of the input before are done. */
  feed(input: RoundInput): void {
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      const [state, effects] = this.#step(this.#state, next);
      this.#state = state;
      for (const effect of effects) this.#perform(effect);
    }
    this.#isStepping = false;
    if (this.#outcome !== null && this.#state.present.size === 0) this.#leave();
  }

  reconcile(device: string, heartbeat: Extract<DeviceMessage, { kind: "heartbeat" }>): void {
    const wanted = wantedKind(this.#state, device);
    const isIdle = heartbeat.phase === "idle";
    const isAtWork = !isIdle && heartbeat.round === taskRound(this.#state, device);
    const agrees = wanted === "train" ? isAtWork : wanted === "idle" && isIdle;
    if (!agrees) this.#command(device);
  }

  #perform(effect: RoundEffect): void {
    const { inbox, model, clock, drops, tell, steering, screen } = this.#parts;
    switch (effect.kind) {
      case "begin":
        return this.#begin(effect);
      case "ask":
        return this.#ask(effect);
      case "command":
        return this.#command(effect.device);
      case "arm": {
        const { timer, delayMs, round, attempt } = effect;
        if (timer === "round") this.#commands.closeAt(clock.nowMs() + delayMs);
        return this.#arm(timer, delayMs, () =>
          this.feed({ kind: "timeout", timer, round, attempt }),
        );
      }
      case "disarm":
        return this.#timers.get(effect.timer)?.cancel();
      case "fetch":
        return void this.#fetch(effect);
      case "abandon":
        return inbox.abandon(effect.device);
      case "accept":
        return this.#send(effect.device, { kind: "accept", root: effect.root });
      case "reject": {
        const { device, root, reason } = effect;
        drops.add(`update-${reason}`);
        return this.#send(device, { kind: "reject", root, reason });
      }
      case "aggregate": {
        const { round, devices } = effect;
        const received = this.#results.close(devices, clock.nowMs());
        return void this.#job({ kind: "aggregated", round }, async () => {
          const [updates, pending] = [inbox.updatesOf(devices), this.#pending()];
          await mergeRound(this.#parts, { round, updates, received, pending });
          this.#merged = devices;
        });
      }
      case "evaluate": {
        const { round } = effect;
        return void this.#job({ kind: "evaluated", round }, () => this.#measure(round));
      }
      case "save": {
        const { round } = effect;
        return void this.#job({ kind: "saved", round }, () => {
          model.save(round, { ...steering.export(), norms: screen.export() });
          const { attempts, times } = this.#results;
          tell({ kind: "round-finished", round, attempts, ...times });
          return inbox.clear(this.#merged);
        });
      }
      case "tell":
        return tell(effect.event);
      case "finish":
        this.#outcome = { ok: effect.ok, reason: effect.reason, farewell: "ended" };
        return this.#arm("farewell", FAREWELL_MS, () => this.#leave());
    }
  }

  #ask({ round, serial, devices }: Extract<RoundEffect, { kind: "ask" }>): void {
    const { steering, tell } = this.#parts;
    try {
      const { choices, events } = steering.decide(round, serial, devices);
      tell({ kind: "devices-asked", round, devices, choices });
      events.forEach(tell);
    } catch (error) {
      this.#stop(error);
    }
  }

  /** Devices that are at work on tasks which outlive the round. */
  #pending(): Set<string> {
    const { started, tasks } = this.#state;
    const pending = [...tasks].filter(([, task]) => isPending(task) || task.status === "done");
    return new Set(started === undefined ? [] : pending.map(([device]) => device));
  }

  #begin({ round, attempt, devices }: Extract<RoundEffect, { kind: "begin" }>): void {
    const { steering, clock, config, tell } = this.#parts;
    this.#results.begin(attempt, clock.nowMs());
    steering.exclusions([...this.#state.present].sort(), round).forEach(tell);
    try {
      const { choices, events } = steering.decide(round, attempt, devices);
      const { roundTimeoutMs: timeoutMs } = config;
      tell({ kind: "round-started", round, attempt, devices, timeoutMs, choices });
      events.forEach(tell);
    } catch (error) {
      this.#stop(error);
    }
  }

  #measure(round: number): Promise<void> {
    const { model, knowledge, config } = this.#parts;
    const isLast = round === config.rounds;
    const count = isLast ? knowledge.models.size : config.scoredModels;
    return model.measure(round, scoredModels(knowledge.models, count));
  }

  #stop(error: unknown): void {
    this.feed({ kind: "stop", reason: error instanceof Error ? error.message : String(error) });
  }

  /** Does one job of a round, after the messages sent so far have left; what it throws ends the run. */
  async #job(done: RoundInput, work: () => Promise<void>): Promise<void> {
    try {
      await nextTurn();
      await work();
      this.feed(done);
    } catch (error) {
      this.#stop(error);
    }
  }

  async #fetch(wanted: {
    device: string;
    round: number;
    blob: BlobRef;
    report: DeviceReport;
  }): Promise<void> {
    const { inbox, steering } = this.#parts;
    const { device, round, blob, report } = wanted;
    const { numSamples } = report;
    const expected = steering.expectationOf(device);
    const verdict = await inbox.fetch({ device, round, blob, numSamples, expected });
    const { root } = blob;
    if (verdict.kind === "broken") {
      this.feed({ kind: "fetch-broken", device, root });
      return;
    }
    if (verdict.kind === "refused") {
      this.feed({ ...verdict, device, root });
      return;
    }
    const task = this.#state.tasks.get(device);
    const isWanted = task?.status === "fetching" && task.blob.root === root;
    if (isWanted && taskRound(this.#state, device) === round) {
      const { uploadMs, update } = verdict;
      const { structure, sparsity, rank } = update;
      this.#count(device, { report, uploadMs, structure, sparsity, rank }, blob);
    }
    this.feed({ kind: "received", device, root });
  }

  #count(device: string, received: ReceivedUpdate, { sizeBytes: updateBytes }: BlobRef): void {
    const { ledger, tell } = this.#parts;
    const { report, uploadMs, rank, sparsity } = received;
    const { bytesUp: _, ...told } = report;
    const round = taskRound(this.#state, device);
    this.#results.add(device, received);
    ledger.contributed(device, received);
    const seen = { updateBytes, uploadMs, rank, sparsity };
    tell({ kind: "update-received", round, device, ...told, ...seen });
  }

  #command(device: string): void {
    this.#commands.send(device).catch((error: unknown) => this.#stop(error));
  }

  #send(device: string, message: Parameters<ControlChannel["send"]>[1]): void {
    void this.#parts.channel.send(device, message, this.#state.round);
  }

  #arm(name: TimerName | "farewell", delayMs: number, action: () => void): void {
    this.#timers.get(name)?.cancel();
    this.#timers.set(name, this.#parts.clock.after(delayMs, action));
  }

  #leave(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    if (this.#outcome !== null) this.#end(this.#outcome);
  }
}
