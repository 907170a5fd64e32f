/** One quantised row against an int8 weight, which is read once, where it lies. */

/** out[N] = sums * scale * scales (+ out); x holds whole words of i16 or bytes, w rows of K bytes. */
export function rowTimesOutputs<Step>(
  out: usize,
  x: usize,
  w: usize,
  scales: usize,
  N: i32,
  depth: i32,
  K: i32,
  start: i32,
  scale: f32,
  offset: i32,
  accumulate: i32,
): void {
  const wRow = <usize>K;
  let n: i32 = 0;
  for (; n + 4 <= N; n += 4) {
    const at = (<usize>n) << 2;
    const sums = fourSums<Step>(x, w, depth, wRow, start, offset);
    let y = f32x4.mul(f32x4.convert_i32x4_s(sums), f32x4.splat(scale));
    y = f32x4.mul(y, v128.load(scales + at));
    v128.store(out + at, accumulate ? f32x4.add(v128.load(out + at), y) : y);
    w += 4 * wRow;
  }
  for (; n < N; n++) {
    const at = (<usize>n) << 2;
    const sums = fourSums<Step>(x, w, depth, 0, start, offset);
    const y = <f32>i32x4.extract_lane(sums, 0) * scale * load<f32>(scales + at);
    store<f32>(out + at, accumulate ? load<f32>(out + at) + y : y);
    w += wRow;
  }
}

/** The sums of four rows of w, `wRow` bytes apart. */
// @ts-ignore: decorator
@inline
function fourSums<Step>(
  x: usize,
  w: usize,
  depth: i32,
  wRow: usize,
  start: i32,
  offset: i32,
): v128 {
  const step = changetype<Step>(0);
  const flip = i8x16.splat(<i8>offset);
  const per: usize = step.isWide() ? 16 : 8;
  const w1 = w + wRow;
  const w2 = w1 + wRow;
  const w3 = w2 + wRow;
  let s0 = i32x4.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let k: usize = 0;
  const end = <usize>depth;
  for (; k + per <= end; k += per) {
    const v = v128.load(x);
    s0 = step.of(s0, v, weights<Step>(w + k, flip));
    s1 = step.of(s1, v, weights<Step>(w1 + k, flip));
    s2 = step.of(s2, v, weights<Step>(w2 + k, flip));
    s3 = step.of(s3, v, weights<Step>(w3 + k, flip));
    x += 16;
  }
  let sums = i32x4.add(i32x4.splat(start), sumOfEach(s0, s1, s2, s3));
  for (; k < end; k++) {
    const v = step.isWide() ? <i32>load<i8>(x) : <i32>load<i16>(x);
    x += step.isWide() ? 1 : 2;
    const column = i32x4(
      <i32>load<i8>(w + k) + offset,
      <i32>load<i8>(w1 + k) + offset,
      <i32>load<i8>(w2 + k) + offset,
      <i32>load<i8>(w3 + k) + offset,
    );
    sums = i32x4.add(sums, i32x4.mul(i32x4.splat(v), column));
  }
  return sums;
}

/** The next bytes of a weight as one step multiplies them. */
// @ts-ignore: decorator
@inline
function weights<Step>(w: usize, flip: v128): v128 {
  return changetype<Step>(0).isWide() ? v128.xor(v128.load(w), flip) : v128.load8x8_s(w);
}

/** The four sums over the lanes of each. */
// @ts-ignore: decorator
@inline
function sumOfEach(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(
    v128.shuffle<i32>(a, b, 0, 4, 1, 5),
    v128.shuffle<i32>(a, b, 2, 6, 3, 7),
  );
  const cd = i32x4.add(
    v128.shuffle<i32>(c, d, 0, 4, 1, 5),
    v128.shuffle<i32>(c, d, 2, 6, 3, 7),
  );
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}
