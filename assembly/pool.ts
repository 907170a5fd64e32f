/** Mean over the tokens of each packed sequence. */
import { map1 } from "./loops";
import { Scale } from "./ops";
import { firstRow, sequenceRows } from "./packed";
import { sumRowsF32 } from "./reduce";

/** out[B,C] = mean of the rows offsets[b] to offsets[b+1] of inp[M,C]; offsets is i32[B+1]. None gives zeros. */
export function meanPoolF32(out: usize, inp: usize, offsets: usize, B: i32, C: i32): void {
  const rowBytes = (<usize>C) << 2;
  for (let b: i32 = 0; b < B; b++) {
    const rows = sequenceRows(offsets, b);
    memory.fill(out, 0, rowBytes);
    sumRowsF32(out, inp + <usize>firstRow(offsets, b) * rowBytes, rows, C);
    map1<Scale>(out, out, C, f32x4.splat(share(rows)));
    out += rowBytes;
  }
}

/** dInp[M,C]: each row of sequence b gets dOut[b] / (offsets[b+1] - offsets[b]). */
export function meanPoolBackwardF32(
  dInp: usize,
  dOut: usize,
  offsets: usize,
  B: i32,
  C: i32,
): void {
  const rowBytes = (<usize>C) << 2;
  for (let b: i32 = 0; b < B; b++, dOut += rowBytes) {
    const rows = sequenceRows(offsets, b);
    const factor = f32x4.splat(share(rows));
    let to = dInp + <usize>firstRow(offsets, b) * rowBytes;
    for (let t: i32 = 0; t < rows; t++, to += rowBytes) map1<Scale>(to, dOut, C, factor);
  }
}

// @ts-ignore: decorator
@inline
function share(rows: i32): f32 {
  return 1 / <f32>max<i32>(rows, 1);
}
