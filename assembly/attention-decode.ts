/** Attention of one token to those before it, whose keys and values are kept. */
import { softmaxRow } from "./softmax";
import { fold2, map2 } from "./loops";
import { AddScaled, Dot } from "./ops";
import { sumLanes } from "./simd";

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
