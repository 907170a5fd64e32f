/** Weights to int8 and int4 and back, one number after another. */
import type { KernelSubset } from "../kernels.ts";
import { decodeHalf, encodeHalf } from "./convert.ts";
import { at, floats } from "./views.ts";

type QuantiseName =
  "quantiseRowsInt8" | "dequantiseRowsInt8" | "quantiseRowsInt4" | "dequantiseRowsInt4";

/** Columns of an int4 row that share a scale, and the bytes that they take. */
const groupColumns = 32;
const groupBytes = groupColumns / 2;

/** 2^-96: a row that is smaller throughout counts as zero. */
const least = 2 ** -96;

/** How a row becomes whole numbers of -127 to 127. */
export interface RowScale {
  /** What values are multiplied by before they are rounded. */
  readonly inverse: number;
  /** What a step stands for; NaN for a row that is not finite throughout. */
  readonly scale: number;
}

export function rowScale(row: Float32Array): RowScale {
  if (!row.every(Number.isFinite)) return { inverse: 0, scale: NaN };
  const largest = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  if (largest < least) return { inverse: 0, scale: 0 };
  return { inverse: Math.fround(127 / largest), scale: Math.fround(largest / 127) };
}

/** Whole numbers of -127 to 127; what a row that is not finite becomes is of no consequence. */
export function quantiseRow(row: Float32Array, { inverse }: RowScale): Int8Array {
  return Int8Array.from(row, (x) => roundToEven(Math.fround(x * inverse)));
}

export function roundToEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** Twins of assembly/quantise.ts over `memory`, with the same arguments. */
export function createQuantiseTwins(memory: WebAssembly.Memory): KernelSubset<QuantiseName> {
  const view = (): DataView => new DataView(memory.buffer);
  return {
    quantiseRowsInt8(values, scales, inp, rows, cols) {
      for (let r = 0; r < rows; r++) {
        const row = floats(memory, inp + 4 * r * cols, cols);
        const scale = rowScale(row);
        new Int8Array(memory.buffer, values + r * cols, cols).set(quantiseRow(row, scale));
        view().setFloat32(scales + 4 * r, scale.scale, true);
      }
    },
    dequantiseRowsInt8(out, values, scales, rows, cols) {
      for (let r = 0; r < rows; r++) {
        floats(memory, out + 4 * r * cols, cols).set(int8Row(memory, values, scales, r, cols));
      }
    },
    quantiseRowsInt4(values, scales, inp, rows, cols) {
      const groups = Math.ceil(cols / groupColumns);
      for (let g = 0; g < rows * groups; g++) {
        const [r, first] = [Math.floor(g / groups), (g % groups) * groupColumns];
        const count = Math.min(groupColumns, cols - first);
        const numbers = floats(memory, inp + 4 * (r * cols + first), count);
        const half = encodeHalf(groupStep(numbers));
        view().setUint16(scales + 2 * g, half, true);
        const nibbles = groupSteps(numbers, decodeHalf(half));
        for (let j = 0; j < groupBytes; j++) {
          const [low = 8, high = 8] = [nibbles[j], nibbles[j + groupBytes]];
          view().setUint8(values + g * groupBytes + j, low | (high << 4));
        }
      }
    },
    dequantiseRowsInt4(out, values, scales, rows, cols) {
      for (let r = 0; r < rows; r++) {
        floats(memory, out + 4 * r * cols, cols).set(int4Row(memory, values, scales, r, cols));
      }
    },
  };
}

/** Row r of an int8 weight as numbers. */
function int8Row(
  memory: WebAssembly.Memory,
  values: number,
  scales: number,
  r: number,
  cols: number,
): Float32Array {
  const scale = new DataView(memory.buffer).getFloat32(scales + 4 * r, true);
  return Float32Array.from(new Int8Array(memory.buffer, values + r * cols, cols), (q) => q * scale);
}

/** Row r of an int4 weight as numbers. */
export function int4Row(
  memory: WebAssembly.Memory,
  values: number,
  scales: number,
  r: number,
  cols: number,
): Float32Array {
  const bytes = new DataView(memory.buffer);
  const firstGroup = r * Math.ceil(cols / groupColumns);
  return Float32Array.from({ length: cols }, (_, c) => {
    const group = firstGroup + Math.floor(c / groupColumns);
    const place = c % groupColumns;
    const byte = bytes.getUint8(values + group * groupBytes + (place % groupBytes));
    const step = place < groupBytes ? byte & 15 : byte >> 4;
    return (step - 8) * decodeHalf(bytes.getUint16(scales + 2 * group, true));
  });
}

function groupStep(numbers: Float32Array): number {
  if (!numbers.every(Number.isFinite)) return NaN;
  return numbers.reduce((found, x) => (Math.abs(x) > Math.abs(found) ? x : found), 0) / -8;
}

function groupSteps(numbers: Float32Array, step: number): number[] {
  const inverse = step === 0 || !Number.isFinite(step) ? 0 : Math.fround(1 / step);
  return Array.from(numbers, (_, i) => {
    if (inverse === 0) return 8;
    const x = Math.fround(at(numbers, i) * inverse);
    return Math.max(-8, Math.min(7, roundToEven(x))) + 8;
  });
}
