/** Attention of one token to those before it, whose keys and values are kept. */
import { loadLanes, storeLanes } from "./lanes";
import { madd } from "./simd";
import { softmaxRow } from "./softmax";

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
    scoreCached(scratch, q, keys + shift, rowBytes, S, D, scale);
    softmaxRow(scratch, scratch, S, S);
    mixCached(out, scratch, values + shift, rowBytes, S, D);
    q += headBytes;
    out += headBytes;
  }
}

/** scores[S] = scale keys[S, D] q[D], four positions at a time; behind the last one it is read again. */
function scoreCached(
  scores: usize,
  q: usize,
  keys: usize,
  rowBytes: usize,
  S: i32,
  D: i32,
  scale: f32,
): void {
  const factor = f32x4.splat(scale);
  const whole = (<usize>(D & ~3)) << 2;
  const rest = D & 3;
  for (let left = S; left > 0; left -= 4) {
    const k1 = left > 1 ? rowBytes : 0;
    const k2 = left > 2 ? k1 + rowBytes : k1;
    const k3 = left > 3 ? k2 + rowBytes : k2;
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let at: usize = 0;
    for (; at < whole; at += 16) {
      const x = v128.load(q + at);
      const key = keys + at;
      s0 = madd(x, v128.load(key), s0);
      s1 = madd(x, v128.load(key + k1), s1);
      s2 = madd(x, v128.load(key + k2), s2);
      s3 = madd(x, v128.load(key + k3), s3);
    }
    if (rest) {
      // Lanes behind the row hold the zeros that both sides are filled with.
      const x = loadLanes(q + at, rest);
      const key = keys + at;
      s0 = madd(x, loadLanes(key, rest), s0);
      s1 = madd(x, loadLanes(key + k1, rest), s1);
      s2 = madd(x, loadLanes(key + k2, rest), s2);
      s3 = madd(x, loadLanes(key + k3, rest), s3);
    }
    const low = f32x4.add(v128.shuffle<f32>(s0, s1, 0, 4, 2, 6), v128.shuffle<f32>(s0, s1, 1, 5, 3, 7));
    const high = f32x4.add(v128.shuffle<f32>(s2, s3, 0, 4, 2, 6), v128.shuffle<f32>(s2, s3, 1, 5, 3, 7));
    const sums = f32x4.add(v128.shuffle<i64>(low, high, 0, 2), v128.shuffle<i64>(low, high, 1, 3));
    storeLanes(scores, f32x4.mul(factor, sums), min(left, 4));
    scores += 16;
    keys += 4 * rowBytes;
  }
}

/** out[D] = weights[S] values[S, D], eight columns at a time; even and odd positions are added up apart. */
function mixCached(
  out: usize,
  weights: usize,
  values: usize,
  rowBytes: usize,
  S: i32,
  D: i32,
): void {
  const end = weights + ((<usize>S) << 2);
  const pairs = weights + ((<usize>(S & ~1)) << 2);
  for (; D >= 8; D -= 8) {
    let left = f32x4.splat(0);
    let right = left;
    let left1 = left;
    let right1 = left;
    let weight = weights;
    let row = values;
    for (; weight < pairs; weight += 8) {
      let w = v128.load32_splat(weight);
      left = madd(w, v128.load(row), left);
      right = madd(w, v128.load(row, 16), right);
      row += rowBytes;
      w = v128.load32_splat(weight, 4);
      left1 = madd(w, v128.load(row), left1);
      right1 = madd(w, v128.load(row, 16), right1);
      row += rowBytes;
    }
    if (weight < end) {
      const w = v128.load32_splat(weight);
      left = madd(w, v128.load(row), left);
      right = madd(w, v128.load(row, 16), right);
    }
    v128.store(out, f32x4.add(left, left1));
    v128.store(out, f32x4.add(right, right1), 16);
    out += 32;
    values += 32;
  }
  for (; D > 0; D -= 4) {
    const count = min(D, 4);
    let sum = f32x4.splat(0);
    let row = values;
    for (let weight = weights; weight < end; weight += 4) {
      sum = madd(v128.load32_splat(weight), loadLanes(row, count), sum);
      row += rowBytes;
    }
    storeLanes(out, sum, count);
    out += 16;
    values += 16;
  }
}
