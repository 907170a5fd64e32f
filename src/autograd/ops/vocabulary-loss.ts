/** Cross-entropy of a projection to a vocabulary, in blocks of rows: the logits of all rows are never held. */
import type { Engine } from "../../tensor/engine.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";
import type { Tape } from "../tape.ts";
import { countLabels, IGNORED_LABEL } from "./cross-entropy.ts";
import { affine, product } from "./linear.ts";

/** Rows of a block; fewer would pack or decode the table more often: 60 take 8 % more time. */
const BLOCK_ROWS = 120;
/** Logits of a block, where the vocabulary is small enough for more rows. */
const BLOCK_BYTES = 8 << 20;
/** Blocks but the last are multiples of this: whole tiles of the products. */
const TILE_ROWS = 10;

/**
 * Rows whose logits of V words are computed at a time: of M rows shares about equal, since a small last block would
 * cost as much packing. They fix the order of sums, so they depend on nothing else.
 */
export function vocabularyBlockRows(M: number, V: number): number {
  const most = BLOCK_ROWS * Math.max(1, Math.floor(BLOCK_BYTES / (4 * V * BLOCK_ROWS)));
  const blocks = Math.max(1, Math.round(M / most));
  return TILE_ROWS * Math.ceil(M / (blocks * TILE_ROWS));
}

interface Gradients {
  readonly dHidden: Tensor | null;
  readonly dWeight: Tensor | null;
  readonly dBias: Tensor | null;
}

/**
 * hidden [M, C], weight [V, C], bias [V] or null, M labels -> [1]: crossEntropy of linear, the mean over the rows that
 * are not ignored. While recording, each block's gradients are computed beside its loss, so that a block's logits are
 * computed once and gone before the next (Hsu et al., "Liger Kernel", 2024, fused linear cross-entropy); backward only
 * scales. Throws ShapeError for sizes and labels that do not fit.
 */
export const vocabularyLoss = defineOp({
  inputs: (hidden: Tensor, weight: Tensor, bias: Tensor | null, _labels: ArrayLike<number>) => [
    hidden,
    weight,
    bias,
  ],
  forward(
    tape,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | null,
    labels: ArrayLike<number>,
  ): { out: Tensor; saved: Gradients } {
    const { engine } = tape;
    const [M, V] = [hidden.rows, weight.rows];
    const counted = countLabels(labels, M, V);
    const gradients = emptyGradients(tape, hidden, weight, bias);
    const wantsGradients = Object.values(gradients).some((gradient) => gradient !== null);
    const out = engine.empty([1]);
    const losses = engine.empty([M]);
    const index = engine.integers(labels);
    const scale = counted === 0 ? 0 : 1 / counted;
    const blockRows = vocabularyBlockRows(M, V);
    for (let first = 0; first < M; first += blockRows) {
      const mark = engine.arena.mark();
      const rows = Math.min(blockRows, M - first);
      const x = hidden.rowRange(first, rows);
      const logits = affine(engine, x, weight, bias);
      const [to, from] = [losses.ptr + 4 * first, index.ptr + 4 * first];
      if (wantsGradients) {
        engine.kernels.crossEntropyInPlaceF32(to, logits.ptr, from, rows, V, IGNORED_LABEL, scale);
        addGradients(engine, gradients, { x, weight, dLogits: logits, first });
      } else {
        const sums = engine.empty([rows]);
        engine.kernels.crossEntropyF32(to, sums.ptr, logits.ptr, from, rows, V, IGNORED_LABEL);
      }
      engine.arena.release(mark);
    }
    out.f32[0] = counted === 0 ? 0 : engine.kernels.sumF32(losses.ptr, M) / counted;
    return { out, saved: gradients };
  },
  backward(engine, { dHidden, dWeight, dBias }, dOut) {
    const scale = dOut.f32[0] as number;
    const results = [dHidden, dWeight, dBias];
    // Gradients of a loss that is asked for as it is are ready; nobody else reads these tensors.
    if (scale !== 1) {
      for (const result of results) {
        if (result !== null) {
          engine.kernels.scaleF32(result.ptr, result.ptr, scale, result.size);
        }
      }
    }
    return results;
  },
});

/** Room for the gradients that this tape will ask for. */
function emptyGradients(
  tape: Tape,
  hidden: Tensor,
  weight: Tensor,
  bias: Tensor | null,
): Gradients {
  const { engine, recording } = tape;
  const wants = (tensor: Tensor | null): tensor is Tensor => recording && tape.tracks(tensor);
  return {
    dHidden: wants(hidden) ? engine.empty(hidden.shape) : null,
    dWeight: wants(weight) ? engine.empty(weight.shape) : null,
    dBias: wants(bias) ? engine.zeros(bias.shape) : null,
  };
}

interface Block {
  /** Hidden states of the block. */
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly dLogits: Tensor;
  /** Number of its first row. */
  readonly first: number;
}

function addGradients(
  engine: Engine,
  { dHidden, dWeight, dBias }: Gradients,
  { x, weight, dLogits, first }: Block,
): void {
  if (dHidden !== null) {
    product(engine, "Nn", dLogits, weight, { out: dHidden.rowRange(first, x.rows) });
  }
  if (dWeight !== null) {
    product(engine, "Tn", dLogits, x, { out: dWeight, accumulate: first > 0 });
  }
  if (dBias !== null) {
    engine.kernels.sumRowsF32(dBias.ptr, dLogits.ptr, dLogits.rows, dLogits.cols);
  }
}
