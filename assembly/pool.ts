/** Mean over the valid tokens of each sequence. */
import { map1 } from "./loops";
import { Scale } from "./ops";
import { sumRowsF32 } from "./reduce";
import { validLength } from "./softmax";

/**
 * out[B,C] = mean of the first lengths[b] rows of inp[B,T,C]; lengths is i32[B] or pointer 0 for all T.
 * An empty sequence gives zeros.
 */
export function meanPoolF32(out: usize, inp: usize, lengths: usize, B: i32, T: i32, C: i32): void {
  const rowBytes = (<usize>C) << 2;
  for (let b: i32 = 0; b < B; b++) {
    const valid = lengths ? validLength(lengths, b, T) : T;
    memory.fill(out, 0, rowBytes);
    sumRowsF32(out, inp, valid, C);
    map1<Scale>(out, out, C, f32x4.splat(share(valid)));
    out += rowBytes;
    inp += rowBytes * <usize>T;
  }
}

/** dInp[B,T,C]: each valid row gets dOut[b] / lengths[b], padding 0. */
export function meanPoolBackwardF32(
  dInp: usize,
  dOut: usize,
  lengths: usize,
  B: i32,
  T: i32,
  C: i32,
): void {
  const rowBytes = (<usize>C) << 2;
  for (let b: i32 = 0; b < B; b++, dOut += rowBytes) {
    const valid = lengths ? validLength(lengths, b, T) : T;
    const factor = f32x4.splat(share(valid));
    for (let t: i32 = 0; t < valid; t++, dInp += rowBytes) map1<Scale>(dInp, dOut, C, factor);
    const padding = rowBytes * <usize>(T - valid);
    memory.fill(dInp, 0, padding);
    dInp += padding;
  }
}

// @ts-ignore: decorator
@inline
function share(valid: i32): f32 {
  return 1 / <f32>max<i32>(valid, 1);
}
