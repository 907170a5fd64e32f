/** Softmax of a panel of scores [keys, 8], one query to a lane, and what its backward makes of them. */
import { exp, log } from "./math";
import { PANEL, STEP } from "./attention-tile";

/** Takes from a panel whose first query stands at its first key what each query may not see: keys behind it. */
export function hideLater(panel: usize, keys: i32, hidden: f32): void {
  const instead = f32x4.splat(hidden);
  const count = min(keys, PANEL);
  for (let s: i32 = 1; s < count; s++) {
    panel += STEP;
    const first = i32x4.splat(s);
    const left = i32x4.ge_s(i32x4(0, 1, 2, 3), first);
    const right = i32x4.ge_s(i32x4(4, 5, 6, 7), first);
    v128.store(panel, v128.bitselect(v128.load(panel), instead, left));
    v128.store(panel, v128.bitselect(v128.load(panel, 16), instead, right), 16);
  }
}

/**
 * In place e^(score - largest) for each of the eight queries; `sums` receives their sums and `lse`, `lseStep`
 * bytes apart, for the first `count` queries the logarithm of the sum of e^score. A NaN or +inf makes the
 * sum of its query NaN.
 */
export function softmaxPanel(
  panel: usize,
  keys: i32,
  sums: usize,
  lse: usize,
  lseStep: usize,
  count: i32,
): void {
  const end = panel + <usize>keys * STEP;
  const lowest = f32x4.splat(-Infinity);
  let top0 = lowest;
  let top1 = lowest;
  for (let at = panel; at < end; at += STEP) {
    top0 = f32x4.pmax(top0, v128.load(at));
    top1 = f32x4.pmax(top1, v128.load(at, 16));
  }
  let sum0 = f32x4.splat(0);
  let sum1 = sum0;
  for (let at = panel; at < end; at += STEP) {
    const p0 = exp(f32x4.sub(v128.load(at), top0));
    const p1 = exp(f32x4.sub(v128.load(at, 16), top1));
    v128.store(at, p0);
    v128.store(at, p1, 16);
    sum0 = f32x4.add(sum0, p0);
    sum1 = f32x4.add(sum1, p1);
  }
  // The sums first take the place of the largest scores, from which the logarithms are made.
  v128.store(sums, top0);
  v128.store(sums, top1, 16);
  v128.store(sums, sum0, 32);
  v128.store(sums, sum1, 48);
  for (let i: i32 = 0; i < count; i++) {
    const slot = sums + ((<usize>i) << 2);
    store<f32>(lse, load<f32>(slot) + <f32>log(<f64>load<f32>(slot, 32)));
    lse += lseStep;
  }
  const one = f32x4.splat(1);
  v128.store(sums, f32x4.div(one, sum0));
  v128.store(sums, f32x4.div(one, sum1), 16);
}

/**
 * In place: scores become weights P = e^(score - lse), slopes dP become P (dP - delta); lse and delta hold
 * one number for each of the eight queries.
 */
export function pullBackPanel(
  scores: usize,
  slopes: usize,
  keys: i32,
  lse: usize,
  delta: usize,
): void {
  const end = scores + <usize>keys * STEP;
  const toSlopes = slopes - scores;
  const lse0 = v128.load(lse);
  const lse1 = v128.load(lse, 16);
  const delta0 = v128.load(delta);
  const delta1 = v128.load(delta, 16);
  for (let at = scores; at < end; at += STEP) {
    const p0 = exp(f32x4.sub(v128.load(at), lse0));
    const p1 = exp(f32x4.sub(v128.load(at, 16), lse1));
    v128.store(at, p0);
    v128.store(at, p1, 16);
    const d = at + toSlopes;
    v128.store(d, f32x4.mul(p0, f32x4.sub(v128.load(d), delta0)));
    v128.store(d, f32x4.mul(p1, f32x4.sub(v128.load(d, 16), delta1)), 16);
  }
}
