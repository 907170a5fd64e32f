/** The stack that every family shares: embeddings, attention and MLP blocks, driven by an Architecture. */
import { activation } from "../autograd/ops/activation.ts";
import { add } from "../autograd/ops/add.ts";
import { attention } from "../autograd/ops/attention.ts";
import { gatherRows } from "../autograd/ops/gather-rows.ts";
import { rope, ropeTables, type RopeTables } from "../autograd/ops/rope.ts";
import { siluMul } from "../autograd/ops/silu-mul.ts";
import { runLayer } from "../autograd/layer.ts";
import type { Tape } from "../autograd/tape.ts";
import { ShapeError } from "../base/errors.ts";
import type { UnitKind } from "../base/structure.ts";
import type { Linear } from "../nn/linear.ts";
import { Norm } from "../nn/norm.ts";
import type { Parameter, ParameterStore } from "../nn/parameters.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Architecture, ParameterNames } from "./architecture.ts";
import { Block } from "./block.ts";

/** Token ids [M] of B sequences, one behind the other; sequence b begins at offsets[b] and ends before offsets[b+1]. */
export interface TokenBatch {
  readonly ids: Int32Array;
  readonly offsets: Int32Array;
}

/** Sees what the units of each layer put out; importance scores are made of it. */
export interface UnitObserver {
  /**
   * `tensor` is what enters the attention output ("heads", [M, H·D] of the heads left in the layer) or
   * the down projection ("ffn", [M, F]). On a recording tape its gradient is there after backward.
   * `batch` is the one that the pass runs on.
   */
  unitActivations(layer: number, kind: UnitKind, tensor: Tensor, batch: TokenBatch): void;
}

/** Where the rows of a batch stand. */
interface Layout {
  /** Position of each row within its sequence, and the same as a tensor i32 [M]. */
  readonly rows: Int32Array;
  readonly positions: Tensor;
  /** i32 [B+1] */
  readonly offsets: Tensor;
  /** Tokens of the longest sequence. */
  readonly longest: number;
}

export class Transformer {
  /** Told of every layer's units in each {@link forward}; null for nobody. */
  observer: UnitObserver | null = null;
  readonly architecture: Architecture;
  readonly tokenEmbedding: Parameter;
  readonly blocks: readonly Block[];
  readonly finalNorm: Norm | null;
  readonly rope: RopeTables | null;
  readonly #positionEmbedding: Parameter | null;
  readonly #tokenTypeEmbedding: Parameter | null;
  readonly #embeddingNorm: Norm | null;

  constructor(store: ParameterStore, architecture: Architecture, names: ParameterNames) {
    const { width, norm, maxPositions, tokenTypes, headSize, positions } = architecture;
    const init = { kind: "normal", std: architecture.initStd } as const;
    const table = (name: string | undefined, rows: number): Parameter | null =>
      name === undefined || rows === 0 ? null : store.take(name, [rows, width], { init });
    this.architecture = architecture;
    this.tokenEmbedding = store.take(names.tokenEmbedding, [architecture.vocabSize, width], {
      init,
    });
    this.#positionEmbedding = table(names.positionEmbedding, maxPositions);
    this.#tokenTypeEmbedding = table(names.tokenTypeEmbedding, tokenTypes);
    const takeNorm = (name: string | undefined): Norm | null =>
      name === undefined ? null : Norm.take(store, name, width, norm);
    this.#embeddingNorm = takeNorm(names.embeddingNorm);
    this.blocks = Array.from(
      { length: architecture.numLayers },
      (_, i) => new Block(store, architecture, names, i),
    );
    this.finalNorm = takeNorm(names.finalNorm);
    this.rope =
      positions.kind === "rope"
        ? ropeTables(store.engine, maxPositions, headSize, positions.theta)
        : null;
  }

  /** Every linear layer of the blocks, in order: what adapters may attach to. */
  linears(): Linear[] {
    return this.blocks.flatMap((block) => block.linears());
  }

  /** Token vectors [M, C] for ids at the given positions, before the first block. */
  embed(tape: Tape, ids: Int32Array, positions: Int32Array): Tensor {
    let x = gatherRows(tape, this.tokenEmbedding.tensor, ids);
    if (this.#positionEmbedding !== null) {
      x = add(tape, x, gatherRows(tape, this.#positionEmbedding.tensor, positions));
    }
    if (this.#tokenTypeEmbedding !== null) {
      const zeros = new Int32Array(ids.length);
      x = add(tape, x, gatherRows(tape, this.#tokenTypeEmbedding.tensor, zeros));
    }
    return this.#embeddingNorm === null ? x : this.#embeddingNorm.forward(tape, x);
  }

  /**
   * The last hidden state [M, C]. `capture` receives the embedding output and each block's output, in the
   * order of transformers' `hidden_states`. Throws ShapeError for a sequence that is empty or longer than
   * the positions.
   */
  forward(tape: Tape, batch: TokenBatch, capture?: (hidden: Tensor) => void): Tensor {
    const layout = this.#lay(tape.engine, batch);
    let x = tape.scope(() => this.embed(tape, batch.ids, layout.rows));
    capture?.(x);
    this.blocks.forEach((block, i) => {
      x = runLayer(tape, x, (on, entry) => {
        const observe = (kind: UnitKind, tensor: Tensor): void =>
          this.#observe(on, i, kind, tensor, batch);
        const attend = (inp: Tensor): Tensor => {
          const mixed = this.#attend(on, block, inp, layout);
          observe("heads", mixed);
          return block.attentionOutput.forward(on, mixed);
        };
        return this.runBlock(on, block, entry, attend, (inner) => observe("ffn", inner));
      });
      const isLast = i === this.blocks.length - 1;
      if (!isLast || this.finalNorm === null) capture?.(x);
    });
    if (this.finalNorm !== null) {
      x = this.finalNorm.forward(tape, x);
      capture?.(x);
    }
    return x;
  }

  /**
   * One block around a given way to attend; generation passes one that uses its cache. `onInner` sees
   * what enters the down projection.
   */
  runBlock(
    tape: Tape,
    block: Block,
    x: Tensor,
    attend: (inp: Tensor) => Tensor,
    onInner?: (inner: Tensor) => void,
  ): Tensor {
    // Scopes, because what is wide shall go before the next wide tensor comes.
    const mlp = (inp: Tensor): Tensor =>
      tape.scope(() => {
        const inner = this.#inner(tape, block, inp);
        onInner?.(inner);
        return block.down.forward(tape, inner);
      });
    if (this.architecture.normPlacement === "pre") {
      const mid = tape.scope(() =>
        add(tape, x, attend(block.attentionNorm.forward(tape, x))),
      );
      return add(tape, mid, mlp(block.mlpNorm.forward(tape, mid)));
    }
    const mid = tape.scope(() => block.attentionNorm.forward(tape, add(tape, x, attend(x))));
    return block.mlpNorm.forward(tape, add(tape, mid, mlp(mid)));
  }

  #lay(engine: Engine, { offsets, ids }: TokenBatch): Layout {
    const { maxPositions } = this.architecture;
    const rows = new Int32Array(ids.length);
    let longest = 0;
    for (let b = 0; b + 1 < offsets.length; b++) {
      const [first, end] = [offsets[b] as number, offsets[b + 1] as number];
      if (end <= first || end - first > maxPositions) {
        throw new ShapeError(`transformer: sequence ${end > first ? "too long" : "empty"}`, {
          expected: `${end > first ? "at most" : "1 to"} ${maxPositions} tokens`,
          got: String(end - first),
          hint: "truncate the text (--max-tokens)",
        });
      }
      for (let row = first; row < end; row++) rows[row] = row - first;
      longest = Math.max(longest, end - first);
    }
    return { rows, positions: engine.integers(rows), offsets: engine.integers(offsets), longest };
  }

  #observe(
    tape: Tape,
    layer: number,
    kind: UnitKind,
    tensor: Tensor,
    batch: TokenBatch,
  ): void {
    if (this.observer === null) return;
    // Below the lowest adapter nothing is recorded unless someone wants its gradient.
    tensor.requiresGrad = true;
    if (!tape.isRehearsal) this.observer.unitActivations(layer, kind, tensor, batch);
  }

  #attend(
    tape: Tape,
    block: Block,
    x: Tensor,
    { positions, offsets, longest }: Layout,
  ): Tensor {
    const { headSize: D, causal } = this.architecture;
    const { numHeads: H, numKvHeads: G } = block;
    let q = block.query.forward(tape, x);
    let k = block.key.forward(tape, x);
    const v = block.value.forward(tape, x);
    if (this.rope !== null) {
      q = rope(tape, q, this.rope, positions, H);
      k = rope(tape, k, this.rope, positions, G);
    }
    return attention(tape, q, k, v, offsets, { H, G, D, longest, causal });
  }

  /** x [M, C] -> what enters the down projection [M, F]. */
  #inner(tape: Tape, block: Block, x: Tensor): Tensor {
    const up = block.up.forward(tape, x);
    const { mlp } = this.architecture;
    return mlp.kind === "gated" && block.gate !== null
      ? siluMul(tape, block.gate.forward(tape, x), up)
      : activation(tape, up, mlp.kind === "plain" ? mlp.activation : "silu");
  }
}
