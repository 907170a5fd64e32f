/** A coordinator and devices in one process, over the in-process broker and with a clock that the test moves. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Clock, ManualClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import {
  type CoordinatorConfigInput,
  parseCoordinatorConfig,
} from "../../src/coordinator/config.ts";
import type { Evaluate } from "../../src/coordinator/global-model.ts";
import { runCoordinator } from "../../src/coordinator/run-coordinator.ts";
import type { RunEvent, RunSummary } from "../../src/coordinator/run-events.ts";
import { type TakeJournal, takeUnsynced } from "../../src/coordinator/run-journal.ts";
import type { AgentEvent } from "../../src/device/agent.ts";
import { type DeviceConfigInput, parseDeviceConfig } from "../../src/device/config.ts";
import { runDevice } from "../../src/device/run-device.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { MemoryBroker, type MemoryFaults } from "../../src/transport/memory.ts";
import type { Transport, TransportFactory } from "../../src/transport/transport.ts";
import { FakeTrainer, type FakeTrainerOptions } from "./fake-trainer.ts";
import type { SealedFleet } from "./sealed-fleet.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { TOY_HEADS, TOY_SHAPE } from "./toy-shape.ts";

export interface RunningCoordinator {
  readonly events: RunEvent[];
  readonly summary: Promise<RunSummary>;
  stop(): void;
  /** Ends it as a crash does: nothing is sent, and the broker publishes its will. */
  kill(): void;
}

export interface RunningDevice {
  readonly id: string;
  readonly trainer: FakeTrainer;
  readonly events: AgentEvent[];
  /** The reason why it ended; null while it runs. */
  endedWith: string | null;
  stop(): void;
  /** With `isSilent` nobody is told, as when the power of the whole site fails; else the broker publishes the will. */
  kill(options?: { isSilent: boolean }): void;
}

/** Moves of the clock between two looks at the world. */
const STEP_MS = 20;

export class Fleet {
  readonly clock = new ManualClock(1_700_000_000_000);
  readonly broker: MemoryBroker;
  readonly folder: string;
  /** Seals what coordinator and devices say, when set. */
  seals: SealedFleet | null = null;
  readonly #stores = new Map<string, MemoryBlobStore>();
  #starts = 0;

  constructor(t: TestContext, faults: Partial<MemoryFaults> = {}, seed: string | number = 1) {
    const rng = Rng.fromSeed(seed);
    this.broker = new MemoryBroker({ clock: this.clock, rng, faults: { latencyMs: 5, ...faults } });
    this.folder = temporaryFolder(t);
    mkdirSync(join(this.folder, "base"));
    writeFileSync(join(this.folder, "base", "config.json"), "{}");
    writeFileSync(join(this.folder, "base", "model.safetensors"), "weights of the base");
  }

  get runFolder(): string {
    return join(this.folder, "run");
  }

  coordinator(
    settings: Partial<CoordinatorConfigInput> = {},
    options: {
      resume?: boolean;
      evaluate?: Evaluate;
      runFolder?: string;
      onEvent?: (event: RunEvent) => void;
      takeJournal?: TakeJournal;
      /** Stands between the coordinator and its connections. */
      wrap?: (factory: TransportFactory) => TransportFactory;
    } = {},
  ): RunningCoordinator {
    const config = parseCoordinatorConfig({
      runFolder: options.runFolder ?? this.runFolder,
      base: join(this.folder, "base"),
      labels: ["no", "yes"],
      rounds: 2,
      heartbeatMs: 1000,
      roundTimeoutMs: 60_000,
      joinTimeoutMs: 20_000,
      ...settings,
      plan: { rank: 3, alpha: 6, steps: 5, targets: "all-linear", ...settings.plan },
    });
    const events: RunEvent[] = [];
    const controller = new AbortController();
    const doomed = new DoomedFactory(this.broker);
    const evaluate: Evaluate = () => Promise.resolve({ accuracy: 0.5, loss: 1, macroF1: 0.4 });
    const summary = runCoordinator(config, {
      factory: options.wrap?.(doomed) ?? doomed,
      takeJournal: options.takeJournal ?? takeUnsynced,
      ...(this.seals === null ? {} : { seal: this.seals.coordinator() }),
      clock: this.clock,
      rng: Rng.fromSeed(`coordinator ${this.#starts++}`),
      evaluate: options.evaluate ?? evaluate,
      shape: TOY_SHAPE,
      heads: TOY_HEADS,
      onEvent: (event) => {
        events.push(event);
        options.onEvent?.(event);
      },
      resume: options.resume ?? false,
      store: this.storeOf(config.runFolder),
      signal: controller.signal,
    });
    summary.catch(() => undefined);
    return {
      events,
      summary,
      stop: () => controller.abort(),
      kill: () => doomed.end(this.broker, false),
    };
  }

  device(
    id: string,
    trainer: Partial<FakeTrainerOptions> = {},
    settings: Partial<DeviceConfigInput> = {},
    onEvent: (event: AgentEvent) => void = () => undefined,
    clock: Clock = this.clock,
  ): RunningDevice {
    const config = parseDeviceConfig({
      id,
      data: "none",
      stateFolder: join(this.folder, id),
      ...settings,
    });
    const fake = new FakeTrainer({ deviceId: id, clock: this.clock, ...trainer });
    const controller = new AbortController();
    const doomed = new DoomedFactory(this.broker);
    const device: RunningDevice = {
      id,
      trainer: fake,
      events: [],
      endedWith: null,
      stop: () => controller.abort(),
      kill: ({ isSilent } = { isSilent: false }) => {
        fake.isHalted = true;
        doomed.end(this.broker, isSilent);
      },
    };
    const ended = runDevice(config, {
      factory: doomed,
      ...(this.seals === null ? {} : { seal: this.seals.device(id) }),
      clock,
      rng: Rng.fromSeed(`device ${this.#starts++}`),
      createTrainer: () => fake,
      machine: { cores: 4, memoryBytes: 1e9 },
      onEvent: (event) => {
        device.events.push(event);
        onEvent(event);
      },
      store: this.storeOf(id),
      signal: controller.signal,
    });
    void ended.then((reason) => (device.endedWith = reason));
    return device;
  }

  /** Every message published from now until the clock moves on is lost. */
  loseThisMoment(): void {
    const { faults } = this.broker;
    this.broker.faults = { ...faults, lossRate: 1 };
    this.clock.after(0, () => (this.broker.faults = faults));
  }

  /** Roots of the complete blobs in a store. */
  blobsOf(owner: string): Promise<string[]> {
    return this.storeOf(owner).list();
  }

  /** Moves the clock until the condition holds; fails when that takes longer than `limitMs` of its time. */
  async until(what: string, condition: () => boolean, limitMs = 120_000): Promise<void> {
    const endMs = this.clock.nowMs() + limitMs;
    while (!condition()) {
      if (this.clock.nowMs() > endMs) throw new RangeError(`not within ${limitMs} ms: ${what}`);
      for (let i = 0; i < 3; i++) await turn();
      this.clock.advance(STEP_MS);
    }
  }

  /** Moves the clock until the run has ended. */
  async end(coordinator: RunningCoordinator, limitMs = 600_000): Promise<RunSummary> {
    let isOver = false;
    void coordinator.summary.then(
      () => (isOver = true),
      () => (isOver = true),
    );
    await this.until("the run ends", () => isOver, limitMs);
    return coordinator.summary;
  }

  /** The lines of events.jsonl. */
  log(): Record<string, unknown>[] {
    const text = readFileSync(join(this.runFolder, "events.jsonl"), "utf8");
    return text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** The blobs of a device by its id, or of a coordinator by its run folder; they outlive the process. */
  storeOf(owner: string): MemoryBlobStore {
    const store = this.#stores.get(owner) ?? new MemoryBlobStore();
    this.#stores.set(owner, store);
    return store;
  }
}

/** Connections that can be taken from their owner at any moment. */
class DoomedFactory implements TransportFactory {
  readonly #inner: TransportFactory;
  readonly #transports: Transport[] = [];
  #isDead = false;

  constructor(inner: TransportFactory) {
    this.#inner = inner;
  }

  async connect(options: Parameters<TransportFactory["connect"]>[0]): Promise<Transport> {
    const inner = await this.#inner.connect(options);
    this.#transports.push(inner);
    const isDead = (): boolean => this.#isDead;
    return {
      clientId: inner.clientId,
      get state() {
        return inner.state;
      },
      publish: (...args) => (isDead() ? new Promise(() => undefined) : inner.publish(...args)),
      subscribe: (filter, handler) =>
        inner.subscribe(filter, (topic, payload) => {
          if (!isDead()) handler(topic, payload);
        }),
      unsubscribe: (filter) => inner.unsubscribe(filter),
      onState: (listener) => inner.onState((state) => (isDead() ? undefined : listener(state))),
      close: () => (isDead() ? Promise.resolve() : inner.close()),
    };
  }

  end(broker: MemoryBroker, isSilent: boolean): void {
    this.#isDead = true;
    for (const transport of this.#transports) {
      if (!isSilent) broker.cut(transport.clientId);
      void transport.close();
    }
  }
}
