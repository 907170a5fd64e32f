/** A trainer without an engine: its update is a known function of device, plan and adapter, and it can misbehave on demand. */
import type { AdapterState } from "../../src/base/adapter.ts";
import type { NamedArrays } from "../../src/base/arrays.ts";
import type { Clock } from "../../src/base/clock.ts";
import { RoundError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../../src/io/adapter-file.ts";
import type { LocalTrainer, TrainedUpdate } from "../../src/device/local-trainer.ts";
import type { TrainPlan } from "../../src/protocol/messages.ts";
import { HEAD, LAYERS, randomAdapter, randomArray } from "./adapters.ts";

/** What goes wrong in a device: in every round, or in none. */
export type Misbehaviour =
  | "none"
  | "fails"
  | "diverges"
  | "sends-nan"
  | "sends-wrong-layers"
  | "sends-garbage"
  | "sends-much";

export interface FakeTrainerOptions {
  readonly deviceId: string;
  readonly clock: Clock;
  readonly stepMs: number;
  readonly numSamples: number;
  readonly misbehaviour: Misbehaviour;
}

/** Bytes of the update of a device that sends too much. */
export const MUCH = 200_000;

export class FakeTrainer implements LocalTrainer {
  readonly #options: FakeTrainerOptions;
  /** Folders that were prepared, and runs of training that were begun, for the test to look at. */
  readonly prepared: string[] = [];
  begun = 0;
  /** Set when the process is to be thought dead: training then stands still for ever. */
  isHalted = false;
  /** Set when training was asked for while other training went on. */
  hasOverlapped = false;
  #isBusy = false;

  constructor(options: Partial<FakeTrainerOptions> & { deviceId: string; clock: Clock }) {
    this.#options = { stepMs: 100, numSamples: 10, misbehaviour: "none", ...options };
  }

  prepare(folder: string): Promise<void> {
    this.prepared.push(folder);
    return Promise.resolve();
  }

  async train(
    plan: TrainPlan,
    adapter: Uint8Array | null,
    onStep: (step: number, loss: number) => Promise<void>,
    signal: AbortSignal,
  ): Promise<TrainedUpdate> {
    this.begun++;
    this.hasOverlapped ||= this.#isBusy;
    this.#isBusy = true;
    try {
      return await this.#work(plan, adapter, onStep, signal);
    } finally {
      this.#isBusy = false;
    }
  }

  async #work(
    plan: TrainPlan,
    adapter: Uint8Array | null,
    onStep: (step: number, loss: number) => Promise<void>,
    signal: AbortSignal,
  ): Promise<TrainedUpdate> {
    const { clock, stepMs, numSamples, misbehaviour, deviceId } = this.#options;
    for (let step = 1; step <= plan.steps; step++) {
      await clock.sleep(stepMs);
      signal.throwIfAborted();
      if (this.isHalted) await new Promise(() => undefined);
      await onStep(step, 2 / step);
    }
    if (misbehaviour === "fails") throw new RoundError("out of memory");
    const scale = plan.alpha / plan.rank;
    const start = adapter === null ? null : decodeAdapterFile(adapter, "adapter", scale);
    const lossLast = misbehaviour === "diverges" ? Number.NaN : 2 / plan.steps;
    const update = spoilt(encodeAdapterFile(fakeUpdate(deviceId, plan, start)), misbehaviour, plan);
    const sizes = { peakBytes: 1_000_000, residentBytes: 50_000_000 };
    const pruned = { rank: plan.rank, sparsity: 0, pruningSkipped: false, importance: 0.1 };
    const losses = { lossFirst: 2, lossLast, heldOutLoss: null };
    return { update, report: { numSamples, steps: plan.steps, ...losses, ...pruned, ...sizes } };
  }
}

/** What a device sends: the adapter that it was given, and a step of its own in a direction that only it takes. */
export function fakeUpdate(
  deviceId: string,
  plan: TrainPlan,
  start: AdapterState | null,
): AdapterState {
  const scale = plan.alpha / plan.rank;
  const step = randomAdapter(Rng.fromSeed(`${deviceId}/${plan.seed}`), plan.rank, scale);
  if (start === null) return step;
  const modules = step.modules.map((module) => {
    const before = start.modules.find(({ name }) => name === module.name);
    return before === undefined
      ? module
      : { ...module, a: sum(before.a, module.a), b: sum(before.b, module.b) };
  });
  return { modules, heads: step.heads };
}

function sum(x: { shape: readonly number[]; data: Float32Array }, y: { data: Float32Array }) {
  return { shape: x.shape, data: x.data.map((value, i) => value + 0.1 * (y.data[i] as number)) };
}

function spoilt(good: Uint8Array, misbehaviour: Misbehaviour, plan: TrainPlan): Uint8Array {
  const rng = Rng.fromSeed("spoilt");
  switch (misbehaviour) {
    case "sends-nan": {
      const state = decodeAdapterFile(good, "good");
      state.modules[0]?.a.data.fill(Number.NaN, 0, 1);
      return encodeAdapterFile(state);
    }
    case "sends-wrong-layers":
      return encodeAdapterFile(
        randomAdapter(rng, plan.rank, plan.alpha / plan.rank, [...LAYERS].slice(1)),
      );
    case "sends-garbage":
      return Uint8Array.from({ length: 500 }, () => rng.int(256));
    case "sends-much": {
      const heads: NamedArrays = new Map([[HEAD.name, randomArray(rng, [MUCH / 4])]]);
      return encodeAdapterFile({ modules: [], heads });
    }
    default:
      return good;
  }
}
