/** Scaled dot-product attention over padded batches, with grouped key/value heads (arXiv 2305.13245). */
import { matmulNnF32, matmulNtF32, matmulScratchBytes, matmulTnF32 } from "./matmul";
import { softmaxBackwardRow, softmaxRow, validLength } from "./softmax";
import { fold2, map2 } from "./loops";
import { AddScaled, Dot } from "./ops";
import { sumLanes } from "./simd";

// Query rows per block of causal attention: a block skips the keys behind its last row.
const CAUSAL_BLOCK: i32 = 32;

/** Bytes of scratch for attentionF32 and attentionBackwardF32 over T tokens of head size D. */
export function attentionScratchBytes(T: i32, D: i32): i32 {
  return scoreBytes(T) + max<i32>(matmulScratchBytes(T, T, D), matmulScratchBytes(T, D, T));
}

// @ts-ignore: decorator
@inline
function scoreBytes(T: i32): i32 {
  return (T * T * 4 + 63) & ~63;
}

/**
 * out[B*T,H*D] = softmax(scale q k^T) v per head; q is [B*T,H*D], k and v are [B*T,G*D], query head h
 * uses key head h / (H / G). probs[B,H,T,T] is saved for the backward pass.
 * lengths i32[B] counts the valid leading tokens (pointer 0: all T); rows of padding become 0 in out
 * and probs. `causal` keeps from each token those behind it. scratch: attentionScratchBytes(T, D).
 */
export function attentionF32(
  out: usize,
  probs: usize,
  q: usize,
  k: usize,
  v: usize,
  lengths: usize,
  scratch: usize,
  B: i32,
  T: i32,
  H: i32,
  G: i32,
  D: i32,
  scale: f32,
  causal: i32,
): void {
  const group = H / max<i32>(G, 1);
  const width = H * D;
  const kvWidth = G * D;
  for (let b: i32 = 0; b < B; b++) {
    const valid = lengths ? validLength(lengths, b, T) : T;
    const first = <usize>b * <usize>T;
    for (let h: i32 = 0; h < H; h++) {
      const qHead = q + ((first * width + h * D) << 2);
      const kvHead = (first * kvWidth + (h / group) * D) << 2;
      const outHead = out + ((first * width + h * D) << 2);
      const step = causal ? CAUSAL_BLOCK : max<i32>(valid, 1);
      for (let row: i32 = 0; row < valid; row += step) {
        const rows = min<i32>(step, valid - row);
        const keys = causal ? row + rows : valid;
        const block = probs + ((<usize>row * T) << 2);
        const offset = (<usize>row * width) << 2;
        matmulNtF32(
          block,
          qHead + offset,
          k + kvHead,
          scratch,
          rows,
          keys,
          D,
          width,
          kvWidth,
          T,
          scale,
          0,
        );
        for (let i: i32 = 0; i < rows; i++) {
          const line = block + ((<usize>i * T) << 2);
          softmaxRow(line, line, causal ? row + i + 1 : keys, T);
        }
        matmulNnF32(
          outHead + offset,
          block,
          v + kvHead,
          scratch,
          rows,
          D,
          keys,
          T,
          kvWidth,
          width,
          1,
          0,
        );
      }
      memory.fill(probs + ((<usize>valid * T) << 2), 0, (<usize>(T - valid) * T) << 2);
      probs += (<usize>T * T) << 2;
    }
    clearRows(out + ((first * width) << 2), valid, T, width);
  }
}

/** Zeroes rows [from, to) of a matrix of `width` columns. */
// @ts-ignore: decorator
@inline
function clearRows(matrix: usize, from: i32, to: i32, width: i32): void {
  memory.fill(matrix + ((<usize>from * width) << 2), 0, (<usize>(to - from) * width) << 2);
}

/**
 * dQ[B*T,H*D], dK and dV[B*T,G*D] from dOut[B*T,H*D] and what attentionF32 saw and saved; rows of
 * padding become 0. The query heads of a group are added to dK and dV in ascending order.
 */
export function attentionBackwardF32(
  dQ: usize,
  dK: usize,
  dV: usize,
  dOut: usize,
  probs: usize,
  q: usize,
  k: usize,
  v: usize,
  lengths: usize,
  scratch: usize,
  B: i32,
  T: i32,
  H: i32,
  G: i32,
  D: i32,
  scale: f32,
): void {
  const group = H / max<i32>(G, 1);
  const width = H * D;
  const kvWidth = G * D;
  const packing = scratch + scoreBytes(T);
  for (let b: i32 = 0; b < B; b++) {
    const valid = lengths ? validLength(lengths, b, T) : T;
    const first = <usize>b * <usize>T;
    for (let h: i32 = 0; h < H; h++) {
      const head = (first * width + h * D) << 2;
      const kvHead = (first * kvWidth + (h / group) * D) << 2;
      const addTo = h % group;
      // dP = dOut v^T, then in place dS = P (dP - rowsum(dP P)).
      matmulNtF32(
        scratch,
        dOut + head,
        v + kvHead,
        packing,
        valid,
        valid,
        D,
        width,
        kvWidth,
        T,
        1,
        0,
      );
      for (let i: i32 = 0; i < valid; i++) {
        const line = (<usize>i * T) << 2;
        softmaxBackwardRow(scratch + line, scratch + line, probs + line, valid);
      }
      matmulNnF32(
        dQ + head,
        scratch,
        k + kvHead,
        packing,
        valid,
        D,
        valid,
        T,
        kvWidth,
        width,
        scale,
        0,
      );
      matmulTnF32(
        dK + kvHead,
        scratch,
        q + head,
        packing,
        valid,
        D,
        valid,
        T,
        width,
        kvWidth,
        scale,
        addTo,
      );
      matmulTnF32(
        dV + kvHead,
        probs,
        dOut + head,
        packing,
        valid,
        D,
        valid,
        T,
        width,
        kvWidth,
        1,
        addTo,
      );
      probs += (<usize>T * T) << 2;
    }
    clearRows(dQ + ((first * width) << 2), valid, T, width);
    clearRows(dK + ((first * kvWidth) << 2), valid, T, kvWidth);
    clearRows(dV + ((first * kvWidth) << 2), valid, T, kvWidth);
  }
}

/**
 * out[H*D] for one query row q[H*D] against S cached positions keys and values [S,G*D], S >= 1.
 * scratch: S floats.
 */
export function attentionDecodeF32(
  out: usize,
  q: usize,
  keys: usize,
  values: usize,
  scratch: usize,
  S: i32,
  H: i32,
  G: i32,
  D: i32,
  scale: f32,
): void {
  const group = H / max<i32>(G, 1);
  const headBytes = (<usize>D) << 2;
  const rowBytes = <usize>G * headBytes;
  for (let h: i32 = 0; h < H; h++) {
    const shift = <usize>(h / group) * headBytes;
    for (let s: i32 = 0; s < S; s++) {
      const score = sumLanes(fold2<Dot>(q, keys + shift + <usize>s * rowBytes, D));
      store<f32>(scratch + ((<usize>s) << 2), scale * score);
    }
    softmaxRow(scratch, scratch, S, S);
    memory.fill(out, 0, headBytes);
    for (let s: i32 = 0; s < S; s++) {
      const weight = f32x4.splat(load<f32>(scratch + ((<usize>s) << 2)));
      map2<AddScaled>(out, out, values + shift + <usize>s * rowBytes, D, weight);
    }
    q += headBytes;
    out += headBytes;
  }
}
