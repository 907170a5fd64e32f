/** A whole model: transformer, head and the configuration they came from. */
import { gatherRows } from "../autograd/ops/gather-rows.ts";
import { crossEntropy } from "../autograd/ops/cross-entropy.ts";
import type { Tape } from "../autograd/tape.ts";
import { FedspineError } from "../base/errors.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { fullStructure, type Structure } from "../base/structure.ts";
import type { Linear } from "../nn/linear.ts";
import type { Parameter, ParameterStore } from "../nn/parameters.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Architecture, ModelFamily, Task } from "./architecture.ts";
import type { ModelDescription } from "./description.ts";
import { ClassifierHead, LmHead } from "./heads.ts";
import { modelShape, unitCounts } from "./shape.ts";
import { Transformer, type TokenBatch } from "./transformer.ts";

export class Model {
  readonly engine: Engine;
  readonly family: ModelFamily;
  readonly task: Task;
  readonly config: Readonly<Record<string, unknown>>;
  readonly architecture: Architecture;
  /** The unpruned sizes. */
  readonly shape: ModelShape;
  /** The units that are left; slicing narrows it together with the parameters. */
  structure: Structure;
  readonly labels: readonly string[];
  readonly store: ParameterStore;
  readonly body: Transformer;
  readonly #head: ClassifierHead | LmHead;

  /**
   * Takes every parameter from the store, which cuts them to `structure` where one is given. Throws
   * CheckpointError for a bad tensor.
   */
  constructor(store: ParameterStore, description: ModelDescription, structure?: Structure) {
    const { family, task, config, labels, architecture, head } = description;
    this.engine = store.engine;
    this.store = store;
    this.family = family;
    this.task = task;
    this.config = config;
    this.labels = labels;
    this.architecture = architecture;
    this.structure = structure ?? fullStructure(unitCounts(architecture));
    this.body = new Transformer(store, architecture, family.names);
    this.#head =
      head.kind === "classifier"
        ? new ClassifierHead(store, architecture, head, labels.length)
        : new LmHead(store, architecture, head, this.body);
    const pooler = head.kind === "classifier" ? head.pooler : undefined;
    this.shape = modelShape(description, pooler !== undefined && !store.isFresh(`${pooler}.weight`));
  }

  /** The linear layers that adapters may attach to. */
  linears(): Linear[] {
    return this.body.linears();
  }

  /** Modules that are trained whole beside the adapters; none for language models. */
  headModules(): readonly Linear[] {
    return this.#head instanceof ClassifierHead ? this.#head.trainableModules : [];
  }

  /** Their weights and biases. */
  headParameters(): Parameter[] {
    return this.headModules().flatMap(({ weight, bias }) =>
      bias === null ? [weight] : [weight, bias],
    );
  }

  /** Label logits [B, numLabels] of a classifier. */
  classLogits(tape: Tape, batch: TokenBatch): Tensor {
    if (!(this.#head instanceof ClassifierHead)) throw wrongTask("classify", this.task);
    return this.#head.forward(tape, this.body.forward(tape, batch), batch);
  }

  /** Vocabulary logits [rows.length, V] at the given rows of the batch. */
  tokenLogits(tape: Tape, batch: TokenBatch, rows: ArrayLike<number>): Tensor {
    return this.project(tape, gatherRows(tape, this.body.forward(tape, batch), rows));
  }

  /** hidden [M, C] -> vocabulary logits [M, V]. */
  project(tape: Tape, hidden: Tensor): Tensor {
    return this.#languageHead().forward(tape, hidden);
  }

  /** Mean cross-entropy [1] of a batch: over sequences for classes, over next tokens or masked ones for language. */
  loss(tape: Tape, batch: TokenBatch, targets: LossTargets): Tensor {
    if (targets.kind === "classes") {
      return crossEntropy(tape, this.classLogits(tape, batch), targets.labels);
    }
    const { rows, labels } = targets.kind === "next-token" ? nextTokenTargets(batch) : targets;
    const hidden = gatherRows(tape, this.body.forward(tape, batch), rows);
    return this.#languageHead().loss(tape, hidden, labels);
  }

  #languageHead(): LmHead {
    if (!(this.#head instanceof LmHead)) throw wrongTask("a language-model task", this.task);
    return this.#head;
  }
}

export type LossTargets =
  | { readonly kind: "classes"; readonly labels: ArrayLike<number> }
  | { readonly kind: "next-token" }
  /** Tokens to predict at rows of the batch: masked language modelling. */
  | {
      readonly kind: "tokens";
      readonly rows: ArrayLike<number>;
      readonly labels: ArrayLike<number>;
    };

/** For each position but a sequence's last: its row and the token that follows. */
export function nextTokenTargets({ ids, offsets }: TokenBatch): {
  rows: Int32Array;
  labels: Int32Array;
} {
  const rows: number[] = [];
  for (let b = 0; b + 1 < offsets.length; b++) {
    for (let row = offsets[b] as number; row + 1 < (offsets[b + 1] as number); row++) rows.push(row);
  }
  return {
    rows: Int32Array.from(rows),
    labels: Int32Array.from(rows, (row) => ids[row + 1] as number),
  };
}

function wrongTask(expected: string, got: Task): FedspineError {
  return new FedspineError("model: loaded for another task", { expected, got });
}
