/** Activations and derivatives by their definitions in f64. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats } from "./views.ts";

type ActivationName =
  | "geluF32"
  | "geluBackwardF32"
  | "geluTanhF32"
  | "geluTanhBackwardF32"
  | "siluF32"
  | "siluBackwardF32"
  | "reluF32"
  | "reluBackwardF32"
  | "tanhF32"
  | "tanhBackwardF32"
  | "siluMulF32"
  | "siluMulBackwardF32";

/**
 * Where the kernels hold the argument of a derivative: the limit is reached in f32, and inf times
 * the trace of it that is left has the same sign here and there.
 */
const slopeBounds = { gelu: 5.7, geluTanh: 9.9, silu: 87 } as const;

function bounded(x: number, bound: number): number {
  return Math.max(-bound, Math.min(bound, x));
}

/**
 * erfc(x) for x >= 0 in f64: the Taylor series of erf below 2, a continued fraction above
 * (Abramowitz and Stegun 7.1.6 and 7.1.14); relative error below 1e-13.
 */
function erfc(x: number): number {
  const bell = Math.exp(-x * x);
  if (x < 2) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 60; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * bell * sum;
  }
  let fraction = x;
  for (let n = 80; n > 0; n--) fraction = x + n / 2 / fraction;
  return bell / (Math.sqrt(Math.PI) * fraction);
}

function normalCdf(x: number): number {
  if (Number.isNaN(x)) return x;
  const tail = erfc(Math.abs(x) * Math.SQRT1_2) / 2;
  return x < 0 ? tail : 1 - tail;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const geluTanhLinear = 2 * Math.sqrt(2 / Math.PI);

function geluTanhArgument(x: number): number {
  return geluTanhLinear * (x + 0.044715 * x * x * x);
}

const gelu = (x: number): number => x * normalCdf(x);
const geluTanh = (x: number): number => x * sigmoid(geluTanhArgument(x));
const silu = (x: number): number => x * sigmoid(x);

function geluSlope(unbounded: number): number {
  const x = bounded(unbounded, slopeBounds.gelu);
  return normalCdf(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}

function geluTanhSlope(unbounded: number): number {
  const x = bounded(unbounded, slopeBounds.geluTanh);
  const s = sigmoid(geluTanhArgument(x));
  return s + x * s * (1 - s) * geluTanhLinear * (1 + 3 * 0.044715 * x * x);
}

function siluSlope(unbounded: number): number {
  const x = bounded(unbounded, slopeBounds.silu);
  const s = sigmoid(x);
  return s + x * s * (1 - s);
}

/** Twins of assembly/activation.ts over `memory`, with the same arguments. */
export function createActivationTwins(memory: WebAssembly.Memory): KernelSubset<ActivationName> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);
  const forward =
    (f: (x: number) => number) =>
    (out: number, inp: number, n: number): void =>
      view(out, n).set(view(inp, n).map(f));
  const backward =
    (slope: (x: number) => number) =>
    (dInp: number, dOut: number, inp: number, n: number): void => {
      const x = view(inp, n);
      view(dInp, n).set(view(dOut, n).map((d, i) => d * slope(at(x, i))));
    };
  return {
    geluF32: forward(gelu),
    geluBackwardF32: backward(geluSlope),
    geluTanhF32: forward(geluTanh),
    geluTanhBackwardF32: backward(geluTanhSlope),
    siluF32: forward(silu),
    siluBackwardF32: backward(siluSlope),
    reluF32: forward((x) => (x < 0 ? 0 : x)),
    reluBackwardF32: (dInp, dOut, inp, n) => {
      const x = view(inp, n);
      view(dInp, n).set(view(dOut, n).map((d, i) => (at(x, i) <= 0 ? 0 : d)));
    },
    tanhF32: forward(Math.tanh),
    tanhBackwardF32: backward((y) => 1 - y * y),
    siluMulF32: (out, gate, up, n) => {
      const u = view(up, n);
      view(out, n).set(view(gate, n).map((g, i) => silu(g) * at(u, i)));
    },
    siluMulBackwardF32: (dGate, dUp, dOut, gate, up, n) => {
      const [d, g, u] = [view(dOut, n).slice(), view(gate, n).slice(), view(up, n).slice()];
      view(dGate, n).set(d.map((x, i) => x * at(u, i) * siluSlope(at(g, i))));
      view(dUp, n).set(
        d.map((x, i) => x * at(g, i) * sigmoid(bounded(at(g, i), slopeBounds.silu))),
      );
    },
  };
}
