/** A trainer without an engine: its update is a known function of device, plan and adapter, and it can misbehave on demand. */
import type { AdapterState } from "../../src/base/adapter.ts";
import type { NamedArrays } from "../../src/base/arrays.ts";
import type { Clock } from "../../src/base/clock.ts";
import { RoundError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import {
  type Structure,
  decodeStructure,
  encodeStructure,
  fullStructure,
  intersection,
} from "../../src/base/structure.ts";
import { bodySparsity } from "../../src/cost/parameters.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../../src/io/adapter-file.ts";
import type { LocalTrainer, TrainedUpdate } from "../../src/device/local-trainer.ts";
import type { TrainPlan } from "../../src/protocol/messages.ts";
import { narrow } from "../../src/strategies/aggregation/narrow.ts";
import { HEAD, LAYERS, randomAdapter, randomArray } from "./adapters.ts";
import { fakeScores, prunedTo, widened } from "./fake-pruning.ts";
import { must } from "./must.ts";
import { TOY_SHAPE } from "./toy-shape.ts";

/** What goes wrong in a device: in every round, or in none. */
export type Misbehaviour =
  | "none"
  | "fails"
  | "diverges"
  | "sends-nan"
  | "sends-wrong-layers"
  | "sends-garbage"
  | "sends-much"
  | "sends-bad-scores"
  | "goes-too-far";

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
  /** What is left of its model; null before the first pruning. */
  #structure: Structure | null = null;
  #isBusy = false;

  constructor(options: Partial<FakeTrainerOptions> & { deviceId: string; clock: Clock }) {
    this.#options = { stepMs: 100, numSamples: 10, misbehaviour: "none", ...options };
  }

  prepare(folder: string): Promise<void> {
    this.prepared.push(folder);
    this.#structure = null;
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
    const scale = plan.alpha / plan.rank;
    const given = adapter === null ? null : decodeAdapterFile(adapter, "adapter", scale);
    const structure = this.#prune(plan, given?.structureText ?? null);
    const sparsity = bodySparsity(TOY_SHAPE, structure);
    for (let step = 1; step <= plan.steps; step++) {
      await clock.sleep(stepMs * (1 - sparsity));
      signal.throwIfAborted();
      if (this.isHalted) await new Promise(() => undefined);
      await onStep(step, 2 / step);
    }
    if (misbehaviour === "fails") throw new RoundError("out of memory");
    const start = given === null ? null : widened(given, structureOf(given.structureText));
    const trained = narrow(fakeUpdate(deviceId, plan, start), {
      pruned: { shape: TOY_SHAPE, structure },
    });
    const scores = fakeScores(structure, deviceId);
    const structureText = encodeStructure(structure, TOY_SHAPE.units);
    const extras = plan.pruning === null ? {} : { structureText, scores };
    const update = spoilt(encodeAdapterFile({ ...trained, ...extras }), misbehaviour, plan);
    const lossLast = misbehaviour === "diverges" ? Number.NaN : 2 / plan.steps;
    const sizes = { peakBytes: Math.round(1e6 * (1 - sparsity)), residentBytes: 50_000_000 };
    const pruned = { rank: plan.rank, sparsity, pruningSkipped: false, importance: 0.1 };
    const losses = { lossFirst: 2, lossLast, heldOutLoss: 1.5 };
    return { update, report: { numSamples, steps: plan.steps, ...losses, ...pruned, ...sizes } };
  }

  /** As a device does it: what is gone stays gone, and what the coordinator's adapter lacks goes too. */
  #prune({ pruning }: TrainPlan, structureText: string | null): Structure {
    const { deviceId } = this.#options;
    const given = structureOf(structureText);
    if (pruning === null) return fullStructure(TOY_SHAPE.units);
    const own = pruning.isReversible ? given : intersection(this.#structure ?? given, given);
    this.#structure = prunedTo(own, pruning.sparsity, deviceId);
    return this.#structure;
  }
}

function structureOf(text: string | null): Structure {
  const { units } = TOY_SHAPE;
  return text === null ? fullStructure(units) : decodeStructure(text, units, "adapter");
}

/** What a device sends: the adapter that it was given, and a step of its own in a direction that only it takes. */
export function fakeUpdate(
  deviceId: string,
  plan: TrainPlan,
  start: AdapterState | null,
): AdapterState {
  const scale = plan.alpha / plan.rank;
  const step = randomAdapter(Rng.fromSeed(`${deviceId}/${plan.seed}`), plan.rank, scale);
  const first = plan.trainA ? step : sharedA(plan, step);
  if (start === null || plan.start === "merge") return first;
  const modules = step.modules.map((module) => {
    const before = start.modules.find(({ name }) => name === module.name);
    if (before === undefined) return module;
    const a = plan.trainA ? sum(before.a, module.a) : before.a;
    return { ...module, a, b: sum(before.b, module.b) };
  });
  return { modules, heads: step.heads };
}

/** Fresh A factors that are nested over ranks and the same on all devices. */
function sharedA({ seed, rank }: TrainPlan, { modules, heads }: AdapterState): AdapterState {
  const largest = randomAdapter(Rng.fromSeed(seed), 32);
  const fresh = narrow(largest, { rank }).modules;
  return { modules: modules.map((module, i) => ({ ...module, a: must(fresh[i]).a })), heads };
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
    case "sends-bad-scores": {
      const state = decodeAdapterFile(good, "good");
      state.scores.get("scores.heads")?.data.fill(-1);
      return encodeAdapterFile(state);
    }
    case "goes-too-far": {
      const state = decodeAdapterFile(good, "good");
      for (const { b } of state.modules) b.data.forEach((value, i) => (b.data[i] = 100 * value));
      return encodeAdapterFile(state);
    }
    default:
      return good;
  }
}
