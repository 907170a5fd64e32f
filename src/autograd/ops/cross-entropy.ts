/** Mean cross-entropy of logits against class indices, softmax fused in. */
import { ShapeError } from "../../base/errors.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** A row with this label counts neither in the loss nor in the gradient. */
export const IGNORED_LABEL = -100;

/** logits [M, V], M labels -> [1]: the mean over the rows that are not ignored, 0 when all are. */
export const crossEntropy = defineOp({
  inputs: (logits: Tensor, _labels: ArrayLike<number>) => [logits],
  forward({ engine }, logits: Tensor, labels: ArrayLike<number>) {
    const { kernels } = engine;
    const [rows, cols] = [logits.rows, logits.cols];
    const counted = countLabels(labels, rows, cols);
    const index = engine.integers(labels);
    const losses = engine.empty([rows]);
    const sums = engine.empty([rows]);
    kernels.crossEntropyF32(losses.ptr, sums.ptr, logits.ptr, index.ptr, rows, cols, IGNORED_LABEL);
    const out = engine.empty([1]);
    out.f32[0] = counted === 0 ? 0 : kernels.sumF32(losses.ptr, rows) / counted;
    return { out, saved: { logits, index, sums, counted } };
  },
  backward(engine, { logits, index, sums, counted }, dOut) {
    const dLogits = engine.empty(logits.shape);
    engine.kernels.crossEntropyBackwardF32(
      dLogits.ptr,
      sums.ptr,
      logits.ptr,
      index.ptr,
      logits.rows,
      logits.cols,
      IGNORED_LABEL,
      counted === 0 ? 0 : (dOut.f32[0] as number) / counted,
    );
    return [dLogits];
  },
});

/** How many of the labels of that many rows are not ignored. Throws ShapeError for a label outside [0, cols). */
export function countLabels(labels: ArrayLike<number>, rows: number, cols: number): number {
  if (labels.length !== rows) {
    throw new ShapeError("cross-entropy", {
      expected: `${rows} labels`,
      got: String(labels.length),
    });
  }
  let counted = 0;
  for (let i = 0; i < rows; i++) {
    const label = labels[i] as number;
    if (label === IGNORED_LABEL) continue;
    if (!(label >= 0 && label < cols)) {
      throw new ShapeError("cross-entropy: label out of range", {
        expected: `0 to ${cols - 1} or ${IGNORED_LABEL}`,
        got: `${label} at row ${i}`,
      });
    }
    counted++;
  }
  return counted;
}
