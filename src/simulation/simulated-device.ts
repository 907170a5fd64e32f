/** One simulated device in one round: the real agent with a simulated machine, link and disk. */
import { RoundError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { parseDeviceConfig } from "../device/config.ts";
import type { AgentMemory } from "../device/device-memory.ts";
import type { FinishedWork } from "../device/agent-machine.ts";
import { runDevice } from "../device/run-device.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import type { MemoryBroker } from "../transport/memory.ts";
import type { Transport, TransportFactory } from "../transport/transport.ts";
import type { Pricing } from "./pricing.ts";
import type { RoundConditions, SimulatedMachine } from "./profiles.ts";
import type { InstalledBase } from "./installed-base.ts";
import { SimulatedTrainer, type SimulatedTrainerOptions } from "./simulated-trainer.ts";
import type { VirtualClock } from "./virtual-clock.ts";
import type { JobRunner } from "./worker-pool.ts";

export interface SimulatedDeviceParts {
  readonly clock: VirtualClock;
  readonly broker: MemoryBroker;
  readonly pool: JobRunner;
  readonly pricing: Pricing;
  readonly machine: SimulatedMachine;
  readonly conditions: RoundConditions;
  readonly fleet: string;
  readonly disk: Disk;
  readonly base: InstalledBase;
  readonly rng: Rng;
  readonly memory: SimulatedTrainerOptions["memory"];
  readonly onTrained: SimulatedTrainerOptions["onDone"];
}

export class SimulatedDevice {
  readonly #parts: SimulatedDeviceParts;
  readonly #power = new AbortController();
  readonly #transports: Transport[] = [];

  constructor(parts: SimulatedDeviceParts) {
    this.#parts = parts;
  }

  /** Runs the agent until its run ends; never settles once the power is cut. */
  start(): Promise<string> {
    const { clock, machine, conditions, fleet, disk, base, rng } = this.#parts;
    const { id, board } = machine;
    const { upBytesPerSecond, downBytesPerSecond, latencyMs } = conditions;
    const link = { upBytesPerSecond, downBytesPerSecond, latencyMs };
    const config = parseDeviceConfig({ id, fleet, data: "simulated", type: board.type, link });
    return runDevice(config, {
      factory: this.#factory(),
      clock,
      rng,
      createTrainer: () => this.#trainer(),
      machine: { cores: board.cores, memoryBytes: board.memoryBytes },
      onEvent: () => undefined,
      ...disk,
      bases: base,
    });
  }

  /** The machine loses its power: it says nothing any more, and the broker publishes its will. */
  cutPower(): void {
    if (this.#power.signal.aborted) return;
    this.#power.abort(new RoundError("the power is gone"));
    for (const transport of this.#transports) {
      this.#parts.broker.cut(transport.clientId);
      void transport.close();
    }
  }

  #trainer(): SimulatedTrainer {
    const { clock, pool, pricing, machine, conditions, memory, onTrained } = this.#parts;
    const onBegin = (expectedMs: number): void => {
      const { vanishesAt } = conditions;
      if (vanishesAt !== null) clock.after(vanishesAt * expectedMs, () => this.cutPower());
    };
    const power = this.#power.signal;
    const told = { onBegin, onDone: onTrained };
    const parts = { clock, pool, pricing, machine, conditions, power, memory };
    return new SimulatedTrainer({ ...parts, ...told });
  }

  /** Remembers the connections, so that they can be cut. */
  #factory(): TransportFactory {
    return {
      connect: async (options) => {
        const transport = await this.#parts.broker.connect(options);
        this.#transports.push(transport);
        return transport;
      },
    };
  }
}

/** What a device finds again when its power is back in the same round. */
export interface Disk {
  readonly store: BlobStore;
  readonly memory: AgentMemory;
}

/** What an agent remembers of its work; a round that is over leaves nothing that the next one could use. */
export class RoundMemory implements AgentMemory {
  readonly #id: string;
  #finished: FinishedWork | null = null;

  constructor(id: string) {
    this.#id = id;
  }

  identity(): string {
    return this.#id;
  }

  recall(): FinishedWork | null {
    return this.#finished;
  }

  remember(finished: FinishedWork): void {
    this.#finished = finished;
  }

  forget(): void {
    this.#finished = null;
  }
}
