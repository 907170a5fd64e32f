/** Packing a weight for the int8 product: eight of its outputs or inputs in the order a tile reads them. */
import { NR, PANEL_HEAD } from "./int8-tile";

/** Bytes from one step to the next in a panel. */
const PANEL_STEP: usize = (<usize>NR) << 2;

/**
 * A panel of eight outputs w[0..8, k], whose rows are `wRow` bytes apart: words of k as the strip has
 * them, as i16 or, `wide`, as bytes with `flip` folded in. Rows beyond `columns` repeat the last one.
 */
export function packOutputs(
  panel: usize,
  w: usize,
  K: i32,
  wRow: usize,
  columns: i32,
  wide: bool,
  flip: i32,
): void {
  const w0 = w;
  const w1 = columns > 1 ? w0 + wRow : w0;
  const w2 = columns > 2 ? w1 + wRow : w1;
  const w3 = columns > 3 ? w2 + wRow : w2;
  const w4 = columns > 4 ? w3 + wRow : w3;
  const w5 = columns > 5 ? w4 + wRow : w4;
  const w6 = columns > 6 ? w5 + wRow : w5;
  const w7 = columns > 7 ? w6 + wRow : w6;
  const turned = i8x16.splat(<i8>flip);
  let to = panel + PANEL_HEAD;
  const end = <usize>K;
  let k: usize = 0;
  if (wide) {
    for (; k + 16 <= end; k += 16) {
      transpose4(
        to,
        v128.xor(turned, v128.load(w0 + k)),
        v128.xor(turned, v128.load(w1 + k)),
        v128.xor(turned, v128.load(w2 + k)),
        v128.xor(turned, v128.load(w3 + k)),
      );
      transpose4(
        to + 16,
        v128.xor(turned, v128.load(w4 + k)),
        v128.xor(turned, v128.load(w5 + k)),
        v128.xor(turned, v128.load(w6 + k)),
        v128.xor(turned, v128.load(w7 + k)),
      );
      to += 4 * PANEL_STEP;
    }
  } else {
    for (; k + 8 <= end; k += 8) {
      transpose4(
        to,
        v128.load8x8_s(w0 + k),
        v128.load8x8_s(w1 + k),
        v128.load8x8_s(w2 + k),
        v128.load8x8_s(w3 + k),
      );
      transpose4(
        to + 16,
        v128.load8x8_s(w4 + k),
        v128.load8x8_s(w5 + k),
        v128.load8x8_s(w6 + k),
        v128.load8x8_s(w7 + k),
      );
      to += 4 * PANEL_STEP;
    }
  }
  const per: usize = wide ? 4 : 2;
  for (; k < end; k += per) {
    const count = <i32>min(per, end - k);
    store<i32>(to, word(w0 + k, 1, count, wide, flip));
    store<i32>(to, word(w1 + k, 1, count, wide, flip), 4);
    store<i32>(to, word(w2 + k, 1, count, wide, flip), 8);
    store<i32>(to, word(w3 + k, 1, count, wide, flip), 12);
    store<i32>(to, word(w4 + k, 1, count, wide, flip), 16);
    store<i32>(to, word(w5 + k, 1, count, wide, flip), 20);
    store<i32>(to, word(w6 + k, 1, count, wide, flip), 24);
    store<i32>(to, word(w7 + k, 1, count, wide, flip), 28);
    to += PANEL_STEP;
  }
}

/** A panel of eight inputs w[k, 0..8], the same in words down the rows; columns beyond `columns` are zero. */
export function packInputs(
  panel: usize,
  w: usize,
  K: i32,
  wRow: usize,
  columns: i32,
  wide: bool,
  flip: i32,
): void {
  const turned = i8x16.splat(<i8>flip);
  let to = panel + PANEL_HEAD;
  const per: i32 = wide ? 4 : 2;
  let k: i32 = 0;
  if (columns == NR) {
    for (; k + per <= K; k += per) {
      if (wide) {
        const r0 = v128.load64_zero(w);
        const r1 = v128.load64_zero(w + wRow);
        const r2 = v128.load64_zero(w + 2 * wRow);
        const r3 = v128.load64_zero(w + 3 * wRow);
        const r01 = v128.shuffle<i8>(r0, r1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const r23 = v128.shuffle<i8>(r2, r3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        v128.store(to, v128.xor(turned, v128.shuffle<i16>(r01, r23, 0, 8, 1, 9, 2, 10, 3, 11)));
        v128.store(to, v128.xor(turned, v128.shuffle<i16>(r01, r23, 4, 12, 5, 13, 6, 14, 7, 15)), 16);
      } else {
        const r0 = v128.load8x8_s(w);
        const r1 = v128.load8x8_s(w + wRow);
        v128.store(to, v128.shuffle<i16>(r0, r1, 0, 8, 1, 9, 2, 10, 3, 11));
        v128.store(to, v128.shuffle<i16>(r0, r1, 4, 12, 5, 13, 6, 14, 7, 15), 16);
      }
      to += PANEL_STEP;
      w += <usize>per * wRow;
    }
  }
  for (; k < K; k += per) {
    const count = min(per, K - k);
    for (let c: usize = 0; c < <usize>NR; c++) {
      store<i32>(to, c < <usize>columns ? word(w + c, wRow, count, wide, flip) : 0);
      to += 4;
    }
    w += <usize>per * wRow;
  }
}

/** Up to four bytes, or two widened, `step` apart in one word; the rest are zeros of the format. */
function word(w: usize, step: usize, count: i32, wide: bool, flip: i32): i32 {
  let packed: i32 = 0;
  for (let i: i32 = 0; i < count; i++) {
    const byte = w + <usize>i * step;
    packed |= wide
      ? (<i32>load<u8>(byte) ^ flip) << (8 * i)
      : (<i32>load<i8>(byte) & 0xffff) << (16 * i);
  }
  return packed;
}

/** Stores the transpose of four vectors of words, a panel step apart. */
// @ts-ignore: decorator
@inline
function transpose4(to: usize, r0: v128, r1: v128, r2: v128, r3: v128): void {
  const low01 = v128.shuffle<i32>(r0, r1, 0, 4, 1, 5);
  const high01 = v128.shuffle<i32>(r0, r1, 2, 6, 3, 7);
  const low23 = v128.shuffle<i32>(r2, r3, 0, 4, 1, 5);
  const high23 = v128.shuffle<i32>(r2, r3, 2, 6, 3, 7);
  v128.store(to, v128.shuffle<i64>(low01, low23, 0, 2));
  v128.store(to, v128.shuffle<i64>(low01, low23, 1, 3), 32);
  v128.store(to, v128.shuffle<i64>(high01, high23, 0, 2), 64);
  v128.store(to, v128.shuffle<i64>(high01, high23, 1, 3), 96);
}
