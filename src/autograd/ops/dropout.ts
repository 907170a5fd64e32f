/** Inverted dropout whose mask is a hash of (seed, index), so that backward draws the same one again. */
import type { Engine } from "../../tensor/engine.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";
import type { Tape } from "../tape.ts";

export interface DropoutMask {
  readonly seedLo: number;
  readonly seedHi: number;
  /** An element is dropped when its 32-bit hash is below this. */
  readonly threshold: number;
  readonly scale: number;
}

/** Draws a mask for a drop rate in [0, 1), or null where dropout is off. */
export function dropoutMask(tape: Tape, rate: number): DropoutMask | null {
  if (rate <= 0 || tape.rng === undefined) return null;
  return {
    seedLo: tape.rng.nextUint32() | 0,
    seedHi: tape.rng.nextUint32() | 0,
    threshold: Math.floor(rate * 4294967296) | 0,
    scale: 1 / (1 - rate),
  };
}

/** The masked and rescaled copy of x; the same call on a gradient is its backward. */
export function applyDropout(engine: Engine, x: Tensor, mask: DropoutMask): Tensor {
  const out = engine.empty(x.shape);
  const { seedLo, seedHi, threshold, scale } = mask;
  engine.kernels.dropoutF32(out.ptr, x.ptr, x.size, seedLo, seedHi, threshold, scale, 0);
  return out;
}

/** x of any shape; the identity when the tape has no random source. */
export const dropout = defineOp({
  inputs: (x: Tensor, _rate: number) => [x],
  forward(tape, x: Tensor, rate: number) {
    const mask = dropoutMask(tape, rate);
    return { out: mask === null ? x : applyDropout(tape.engine, x, mask), saved: mask };
  },
  backward: (engine, mask, dOut) => [mask === null ? dOut : applyDropout(engine, dOut, mask)],
});
