/** Opens a model folder for a command: engine, model, tokenizer and adapter. */
import type { ThreadChoice } from "../backend/threads/load.ts";
import type { BaseDtype } from "../base/base-dtype.ts";
import type { Task } from "../models/architecture.ts";
import { loadModel } from "../models/load.ts";
import type { Model } from "../models/model.ts";
import type { Engine } from "../tensor/engine.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import type { AdaptedModel } from "../train/adapted-model.ts";
import { attachStored, readAdapter, structureFor, type StoredAdapter } from "./adapter-folder.ts";
import { openEngine } from "./open-engine.ts";
import type { KernelChoice } from "./options.ts";

export interface SessionOptions {
  readonly model: string;
  readonly adapter?: string;
  /** Alpha of an adapter that is a bare file of factors. */
  readonly bareAlpha?: number;
  /** File with the units to keep; without it those of the adapter. */
  readonly structure?: string;
  /** An adapter whose values the caller attaches later: what it was sliced to counts as that of `adapter`. */
  readonly initAdapter?: StoredAdapter;
  readonly task?: Task;
  readonly labels?: readonly string[];
  readonly kernels: KernelChoice;
  /** What the base is held in, f32 by default. */
  readonly baseDtype?: BaseDtype;
  /** One when absent. */
  readonly threads?: ThreadChoice;
  readonly seed?: number;
  readonly randomWeightsSeed?: number;
}

export interface ModelSession {
  readonly engine: Engine;
  readonly model: Model;
  readonly adapted: AdaptedModel | null;
  /** The model's tokenizer. Throws CheckpointError when the folder has none. */
  readonly tokenizer: () => Tokenizer;
  /** Longest input that the model has positions for. */
  readonly maxTokens: number;
}

/** Loads everything; a classifier's labels come from the adapter where it brings a head of its own. */
export function openSession(options: SessionOptions): ModelSession {
  const engine = openEngine(options);
  const adapter =
    options.adapter === undefined ? null : readAdapter(options.adapter, options.bareAlpha);
  const pruned = structureFor(options.structure, adapter ?? options.initAdapter ?? null);
  const labels = options.labels ?? adapter?.labels;
  const task = options.task ?? adapter?.task;
  const model = loadModel(engine, options.model, {
    ...(task === undefined ? {} : { task }),
    ...(labels === undefined ? {} : { labels }),
    headSeed: options.seed ?? 1,
    baseDtype: options.baseDtype ?? "f32",
    ...(pruned === undefined ? {} : { structure: pruned.structure, structureOrigin: pruned.path }),
    ...(options.randomWeightsSeed === undefined
      ? {}
      : { randomWeightsSeed: options.randomWeightsSeed }),
  });
  const adapted = adapter === null ? null : attachStored(model, adapter);
  let tokenizer: Tokenizer | undefined;
  return {
    engine,
    model,
    adapted,
    tokenizer: () => (tokenizer ??= loadTokenizer(options.model)),
    maxTokens: model.architecture.maxPositions,
  };
}
