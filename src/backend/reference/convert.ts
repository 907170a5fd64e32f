/** Half-precision formats as numbers, not as bits. */
import type { KernelSubset } from "../kernels.ts";
import { floats } from "./views.ts";

type ConvertName = "f16ToF32" | "f32ToF16" | "bf16ToF32" | "f32ToBf16";

/** A binary floating-point format of 16 bits by its numbers of exponent and fraction bits. */
interface HalfFormat {
  readonly exponentBits: number;
  readonly fractionBits: number;
}

const binary16: HalfFormat = { exponentBits: 5, fractionBits: 10 };
const bfloat16: HalfFormat = { exponentBits: 8, fractionBits: 7 };

function decode(bits: number, { exponentBits, fractionBits }: HalfFormat): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const top = 2 ** exponentBits - 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = (bits >> fractionBits) & top;
  const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
  if (exponent === top) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

function encode(x: number, { exponentBits, fractionBits }: HalfFormat): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const infinity = (2 ** exponentBits - 1) << fractionBits;
  if (Number.isNaN(x)) return infinity | (1 << (fractionBits - 1));
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(x);
  if (magnitude === Infinity) return sign | infinity;
  if (magnitude === 0) return sign;
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), 1 - bias);
  const units = roundToEven(magnitude / 2 ** (exponent - fractionBits));
  // A count of units that reaches the next power of two carries into the exponent by itself.
  const biased = units >= 2 ** fractionBits ? exponent + bias - 1 : 0;
  return sign | Math.min(infinity, (biased << fractionBits) + units);
}

function roundToEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** The value of a binary16 number. */
export const decodeHalf = (bits: number): number => decode(bits, binary16);

/** The binary16 number nearest to a value, ties to even. */
export const encodeHalf = (x: number): number => encode(x, binary16);

/** Twins of assembly/convert.ts over `memory`, with the same arguments. */
export function createConvertTwins(memory: WebAssembly.Memory): KernelSubset<ConvertName> {
  const halves = (pointer: number, n: number): Uint16Array =>
    new Uint16Array(memory.buffer, pointer, n);
  const widen =
    (format: HalfFormat) =>
    (out: number, inp: number, n: number): void =>
      floats(memory, out, n).set(Array.from(halves(inp, n), (bits) => decode(bits, format)));
  const narrow =
    (format: HalfFormat) =>
    (out: number, inp: number, n: number): void =>
      halves(out, n).set(Array.from(floats(memory, inp, n), (x) => encode(x, format)));
  return {
    f16ToF32: widen(binary16),
    f32ToF16: narrow(binary16),
    bf16ToF32: widen(bfloat16),
    f32ToBf16: narrow(bfloat16),
  };
}
