/** The local trainer of a real device: LoRA on the tensor engine, over the device's own examples, on a model that shrinks. */
import { basename } from "node:path";
import type { BaseDtype } from "../base/base-dtype.ts";
import { FedspineError } from "../base/errors.ts";
import { uniformStructure } from "../cost/approximate.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { intersection, type Structure } from "../base/structure.ts";
import { bodySparsity } from "../cost/parameters.ts";
import type { Sequence } from "../data/batch.ts";
import type { Example } from "../data/examples.ts";
import { encodeDataset } from "../data/sequences.ts";
import type { Model } from "../models/model.ts";
import { readModelShape } from "../models/shape.ts";
import type { PruningPlan, TrainPlan } from "../protocol/messages.ts";
import type { Engine, EngineOptions } from "../tensor/engine.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { evaluateClassifier } from "../train/evaluate.ts";
import type { LocalTrainer, TrainedUpdate } from "./local-trainer.ts";
import { collectGarbage } from "./collect-garbage.ts";
import type { MemoryBudget } from "./memory-budget.ts";
import { adaptBase } from "./training/adapted-base.ts";
import { splitHeldOut } from "./training/guard.ts";
import { fitPlan } from "./training/memory-fit.ts";
import { runLocalRound } from "./training/local-round.ts";
import { openRound } from "./training/pruning-step.ts";
import {
  decodePruningState,
  encodePruningState,
  type PruningState,
  type PruningStateKey,
} from "./training/pruning-state.ts";
import { decodeResidual, encodeResidual, type Residual } from "./training/residual.ts";
import { ResidentBase } from "./training/resident-base.ts";
import { Scoring } from "./training/scoring.ts";
import { readStart, type StartingPoint } from "./training/starting-point.ts";
import { volatileMemory, type TrainerMemory } from "./training/trainer-memory.ts";
import { keepRecord, unpackRecord } from "./training/trainer-record.ts";
import { encodeUpdate } from "./training/update-file.ts";

export interface EngineTrainerOptions {
  /** This device's own data; it never leaves the process. */
  readonly examples: readonly Example[];
  /** Makes this device's order of examples differ from the others'. */
  readonly deviceId: string;
  readonly kernels: NonNullable<EngineOptions["kernels"]>;
  /** How the frozen base is held; float32 by default. */
  readonly baseDtype?: BaseDtype;
  /** One when absent. */
  readonly threads?: NonNullable<EngineOptions["threads"]>;
  /** Where the model goes; by default every smaller model gets an engine of its own. */
  readonly createEngine?: () => Engine;
  /** Keeps structure and scores across restarts; by default they last as long as this object. */
  readonly memory?: TrainerMemory;
  /** Collects garbage before a round begins, so that the process stays small; for processes that do nothing else. */
  readonly savesMemory?: boolean;
  /** What the process may take; asked before every round, by default there is no bound. */
  readonly budget?: () => MemoryBudget;
}

interface Prepared {
  readonly run: string;
  readonly baseName: string;
  readonly labels: readonly string[];
  readonly base: ResidentBase;
  readonly shape: ModelShape;
  readonly tokenizer: Tokenizer;
}

/** How a round begins: with which units, and what was found out about them. */
interface Opening {
  readonly structure: Structure;
  readonly heldOutLoss: number | null;
  readonly pruningSkipped: boolean;
  /** What to go by while training and to keep when the round is through; null where nothing is pruned. */
  readonly pruning: Pruning | null;
}

interface Pruning {
  readonly plan: PruningPlan;
  readonly state: PruningState;
}

export class EngineTrainer implements LocalTrainer {
  readonly #options: EngineTrainerOptions;
  readonly #memory: TrainerMemory;
  /** Resident memory before the first model was loaded. */
  #otherBytes: number | undefined;
  #prepared: Prepared | undefined;
  #sequences: { readonly maxTokens: number; readonly items: readonly Sequence[] } | undefined;

  constructor(options: EngineTrainerOptions) {
    this.#options = options;
    this.#memory = options.memory ?? volatileMemory();
  }

  prepare(folder: string, labels: readonly string[], run: string): Promise<void> {
    const { kernels, threads = 1, baseDtype, createEngine } = this.#options;
    const given = {
      ...(createEngine === undefined ? {} : { createEngine }),
      ...(baseDtype === undefined ? {} : { baseDtype }),
    };
    this.#prepared?.base.discard();
    this.#prepared = {
      run,
      baseName: basename(folder),
      labels,
      base: new ResidentBase({ folder, labels, kernels, threads, ...given }),
      shape: readModelShape(folder, labels),
      tokenizer: loadTokenizer(folder),
    };
    this.#sequences = undefined;
    return Promise.resolve();
  }

  async train(
    plan: TrainPlan,
    adapter: Uint8Array | null,
    onStep: (step: number, loss: number) => Promise<void>,
    signal: AbortSignal,
  ): Promise<TrainedUpdate> {
    const { shape, base } = this.#ready();
    const { deviceId } = this.#options;
    const scale = plan.alpha / plan.rank;
    const start = readStart(adapter, shape, scale);
    const data = this.#split(plan);
    if (this.#options.savesMemory === true) collectGarbage();
    const recompute = this.#fit(plan, start, data);
    const opening = this.#open(plan, start, data, recompute);
    const { structure, heldOutLoss, pruningSkipped, pruning } = opening;
    const adapted = adaptBase(base, { plan, shape, start, structure });
    try {
      const { values, ...round } = await runLocalRound({
        adapted,
        plan,
        sequences: data.training,
        shuffleSeed: `${plan.seed}/${deviceId}`,
        recompute,
        scoring: pruning && this.#scoring(adapted.model, pruning),
        onStep,
        signal,
      });
      const modules = adapted.lora.moduleNames();
      const keeper = pruning?.state.keeper;
      const scores = keeper?.knows(structure) === true ? keeper.scores() : null;
      const { bytes, residual } = encodeUpdate({
        ...{ values, modules, scale, shape, structure, scores },
        dtype: plan.updateDtype ?? "f32",
        residual: this.#residual(),
      });
      if (pruning !== null) this.#remember(pruning);
      if (residual !== null) this.#rememberResidual(residual);
      return {
        update: bytes,
        report: {
          ...round,
          numSamples: data.training.length,
          heldOutLoss,
          sparsity: bodySparsity(shape, structure),
          pruningSkipped,
          residentBytes: peakResidentBytes(),
        },
      };
    } finally {
      adapted.detach();
    }
  }

  /** Prunes to the plan's target, before training: then all steps run on the smaller model and recover what it lost. */
  #open(plan: TrainPlan, start: StartingPoint, data: Data, recompute: boolean): Opening {
    const { pruning } = plan;
    if (pruning === null) {
      const { structure } = start;
      return { structure, heldOutLoss: null, pruningSkipped: false, pruning: null };
    }
    const { shape, base } = this.#ready();
    const batches = { batchSize: plan.batchSize };
    const before = decodePruningState(
      unpackRecord(this.#memory.load()).pruning,
      this.#key(pruning),
      shape.units,
    );
    const { keeper } = before;
    const own =
      pruning.isReversible || before.structure === null
        ? start.structure
        : intersection(before.structure, start.structure);
    const adapted = adaptBase(base, { plan, shape, start, structure: own });
    try {
      const { model } = adapted;
      const heldOutLoss =
        data.heldOut.length === 0 ? null : evaluateClassifier(model, data.heldOut, batches).loss;
      const shuffleSeed = `${plan.seed}/${this.#options.deviceId}/probe`;
      const { structure, guard, isSkipped } = openRound({
        plan: pruning,
        shape,
        structure: own,
        guard: before.guard,
        heldOutLoss,
        fleetScores: start.fleetScores,
        ownScores: () => {
          if (!keeper.knows(own)) {
            const scoring = this.#scoring(model, { plan: pruning, state: before });
            scoring.probe(data.training, { ...batches, shuffleSeed, recompute });
          }
          return keeper.scores();
        },
      });
      const state = { structure, keeper, guard };
      const next = { plan: pruning, state };
      return { structure, heldOutLoss, pruningSkipped: isSkipped, pruning: next };
    } finally {
      adapted.detach();
    }
  }

  /** Whether blocks must be run again for the plan to fit. Throws MemoryError where it does not fit at all. */
  #fit(plan: TrainPlan, start: StartingPoint, { training }: Data): boolean {
    const wanted = plan.recompute === true;
    const { budget } = this.#options;
    if (budget === undefined) return wanted;
    const { shape } = this.#ready();
    this.#otherBytes ??= process.memoryUsage.rss();
    const { rank, targets, trainHead, dropout, pruning } = plan;
    const planned = pruning === null ? start.structure : uniformStructure(shape, pruning.sparsity);
    const setup = {
      ...{ rank, targets, trainHead, dropout, recompute: wanted },
      baseDtype: this.#options.baseDtype ?? "f32",
      structure:
        pruning?.isReversible === true ? planned : smaller(shape, planned, start.structure),
      batchSize: Math.min(plan.batchSize, training.length),
      numTokens: training.reduce((most, { ids }) => Math.max(most, ids.length), 1),
      scoresUnits: pruning !== null,
    };
    return fitPlan({ shape, setup, budget: budget(), otherBytes: this.#otherBytes });
  }

  #scoring(model: Model, { plan, state: { keeper } }: Pruning): Scoring {
    return new Scoring({ model, plan, keeper, deviceId: this.#options.deviceId });
  }

  #remember({ plan, state }: Pruning): void {
    const { shape } = this.#ready();
    keepRecord(this.#memory, { pruning: encodePruningState(state, this.#key(plan), shape.units) });
  }

  /** What the last update of this run could not say. */
  #residual(): Residual | null {
    const { run, shape } = this.#ready();
    const { residual } = unpackRecord(this.#memory.load());
    return residual?.run === run ? decodeResidual(residual.bytes, shape.units) : null;
  }

  #rememberResidual(residual: Residual): void {
    const { run, shape } = this.#ready();
    const bytes = encodeResidual(residual, shape.units);
    keepRecord(this.#memory, { residual: { run, bytes } });
  }

  #key({ score }: PruningPlan): PruningStateKey {
    const { run, baseName } = this.#ready();
    return { run, base: baseName, score };
  }

  /** Devices that prune hold some examples back; the others train on all they have. */
  #split({ maxTokens, pruning }: TrainPlan): Data {
    const items = this.#encode(maxTokens);
    if (pruning === null) return { training: items, heldOut: [] };
    return splitHeldOut(items, this.#options.deviceId);
  }

  #encode(maxTokens: number): readonly Sequence[] {
    const { shape, tokenizer, labels } = this.#ready();
    if (this.#sequences?.maxTokens !== maxTokens) {
      const { examples } = this.#options;
      const limit = Math.min(maxTokens, shape.maxPositions);
      const items = encodeDataset({ examples, labels }, tokenizer, limit);
      this.#sequences = { maxTokens, items };
    }
    return this.#sequences.items;
  }

  #ready(): Prepared {
    if (this.#prepared === undefined) {
      throw new FedspineError("trainer: train was called before prepare");
    }
    return this.#prepared;
  }
}

type Data = ReturnType<typeof splitHeldOut<Sequence>>;

function smaller(shape: ModelShape, a: Structure, b: Structure): Structure {
  return bodySparsity(shape, a) > bodySparsity(shape, b) ? a : b;
}

/** Most resident memory that this process has had. */
function peakResidentBytes(): number {
  return process.resourceUsage().maxRSS * 1024;
}
