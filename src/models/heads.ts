/** The layers between the last hidden state and the logits. */
import { activation } from "../autograd/ops/activation.ts";
import { gatherRows } from "../autograd/ops/gather-rows.ts";
import { linear } from "../autograd/ops/linear.ts";
import { meanPool } from "../autograd/ops/mean-pool.ts";
import { vocabularyLoss } from "../autograd/ops/vocabulary-loss.ts";
import type { Tape } from "../autograd/tape.ts";
import { Linear } from "../nn/linear.ts";
import { Norm } from "../nn/norm.ts";
import type { Parameter, ParameterStore } from "../nn/parameters.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Architecture, HeadSpec, Pooling } from "./architecture.ts";
import type { TokenBatch, Transformer } from "./transformer.ts";

type ClassifierSpec = Extract<HeadSpec, { kind: "classifier" }>;
type LmSpec = Extract<HeadSpec, { kind: "lm" }>;

/** Pools a sequence into one vector and maps it to label logits. */
export class ClassifierHead {
  readonly pooling: Pooling;
  readonly pooler: Linear | null;
  readonly classifier: Linear;

  constructor(
    store: ParameterStore,
    architecture: Architecture,
    spec: ClassifierSpec,
    numLabels: number,
  ) {
    const { width, initStd } = architecture;
    const init = { kind: "normal", std: initStd } as const;
    const take = (name: string, outputs: number, bias: boolean): Linear =>
      Linear.take(store, name, width, outputs, { bias, init, optional: true, trained: true });
    this.pooling = spec.pooling;
    this.pooler = spec.pooler === undefined ? null : take(spec.pooler, width, true);
    this.classifier = take(spec.classifier, numLabels, spec.bias);
    const isPoolerFresh = this.pooler !== null && store.isFresh(this.pooler.weight.name);
    this.trainableModules = [...(isPoolerFresh ? [this.pooler] : []), this.classifier];
  }

  /** The layers that training the head trains: the classifier, and a pooler that no checkpoint brought. */
  readonly trainableModules: readonly Linear[];

  /** hidden [M, C] -> logits [B, numLabels]. */
  forward(tape: Tape, hidden: Tensor, batch: TokenBatch): Tensor {
    let pooled = this.#pool(tape, hidden, batch);
    if (this.pooler !== null) {
      pooled = activation(tape, this.pooler.forward(tape, pooled), "tanh");
    }
    return this.classifier.forward(tape, pooled);
  }

  #pool(tape: Tape, hidden: Tensor, { offsets }: TokenBatch): Tensor {
    if (this.pooling === "mean") return meanPool(tape, hidden, tape.engine.integers(offsets));
    const rows =
      this.pooling === "first" ? offsets.subarray(0, -1) : offsets.subarray(1).map((end) => end - 1);
    return gatherRows(tape, hidden, rows);
  }
}

/** Maps hidden states to vocabulary logits, by its own weights or the token embedding's. */
export class LmHead {
  readonly #transform: { dense: Linear; norm: Norm; spec: NonNullable<LmSpec["transform"]> } | null;
  readonly #decoder: Parameter;
  readonly #bias: Parameter | null;

  constructor(
    store: ParameterStore,
    architecture: Architecture,
    spec: LmSpec,
    transformer: Transformer,
  ) {
    const { width, vocabSize, initStd, norm } = architecture;
    const init = { kind: "normal", std: initStd } as const;
    this.#transform =
      spec.transform === undefined
        ? null
        : {
            dense: Linear.take(store, spec.transform.dense, width, width, { bias: true, init }),
            norm: Norm.take(store, spec.transform.norm, width, norm),
            spec: spec.transform,
          };
    this.#decoder =
      spec.decoder === undefined
        ? transformer.tokenEmbedding
        : store.take(`${spec.decoder}.weight`, [vocabSize, width], { init });
    this.#bias =
      spec.bias === undefined
        ? null
        : store.take(spec.bias, [vocabSize], {
            init: { kind: "constant", value: 0 },
            aliases: ["cls.predictions.decoder.bias"],
          });
  }

  /** hidden [M, C] -> logits [M, V]. */
  forward(tape: Tape, hidden: Tensor): Tensor {
    const bias = this.#bias?.tensor ?? null;
    return linear(tape, this.#transformed(tape, hidden), this.#decoder.tensor, bias);
  }

  /** hidden [M, C] and M labels -> mean cross-entropy [1] of the logits, which are never held all at once. */
  loss(tape: Tape, hidden: Tensor, labels: ArrayLike<number>): Tensor {
    const bias = this.#bias?.tensor ?? null;
    const x = this.#transformed(tape, hidden);
    return vocabularyLoss(tape, x, this.#decoder.tensor, bias, labels);
  }

  #transformed(tape: Tape, hidden: Tensor): Tensor {
    if (this.#transform === null) return hidden;
    const { dense, norm, spec } = this.#transform;
    return norm.forward(tape, activation(tape, dense.forward(tape, hidden), spec.activation));
  }
}
