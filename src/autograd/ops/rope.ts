/** Rotary position embedding in the rotate-half order of Hugging Face (Su et al. 2021). */
import type { Engine } from "../../tensor/engine.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** Cosines and sines [maxPositions, D/2] of the angles position · theta^(-2i/D). */
export interface RopeTables {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/** Tables for `maxPositions` positions in the weights region. */
export function ropeTables(
  engine: Engine,
  maxPositions: number,
  D: number,
  theta: number,
): RopeTables {
  const half = D / 2;
  const cos = engine.empty([maxPositions, half], "weights");
  const sin = engine.empty([maxPositions, half], "weights");
  const [cosView, sinView] = [cos.f32, sin.f32];
  for (let position = 0; position < maxPositions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * Math.pow(theta, (-2 * i) / D);
      cosView[position * half + i] = Math.cos(angle);
      sinView[position * half + i] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

/** x [M, heads·D] rotated by the position of its row; positions i32 [M]. */
export const rope = defineOp({
  inputs: (x: Tensor, _tables: RopeTables, _positions: Tensor, _heads: number) => [x],
  forward({ engine }, x: Tensor, tables: RopeTables, positions: Tensor, heads: number) {
    const out = rotate(engine, x, tables, positions, heads, 1);
    return { out, saved: { tables, positions, heads } };
  },
  // A rotation's inverse is its transpose: the gradient turns by the negative angle.
  backward: (engine, { tables, positions, heads }, dOut) => [
    rotate(engine, dOut, tables, positions, heads, -1),
  ],
});

function rotate(
  engine: Engine,
  x: Tensor,
  { cos, sin }: RopeTables,
  positions: Tensor,
  heads: number,
  direction: 1 | -1,
): Tensor {
  const out = engine.empty(x.shape);
  engine.kernels.ropeF32(
    out.ptr,
    x.ptr,
    cos.ptr,
    sin.ptr,
    positions.ptr,
    x.rows,
    heads,
    x.cols / heads,
    direction,
  );
  return out;
}
