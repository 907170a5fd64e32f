/** How the numbers of an adapter are stored: as they are, in half precision, or as bytes with a scale for every direction. */
import { hostArray, type HostArray, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import type { RawTensor, Safetensors } from "./safetensors.ts";

/** What an update may be stored as, largest first. */
export const updateDtypes = ["f32", "f16", "int8"] as const;
export type UpdateDtype = (typeof updateDtypes)[number];

/** What the writer is told of each tensor. */
export interface StoredArrays {
  readonly arrays: NamedArrays;
  readonly dtypes: ReadonlyMap<string, "F16" | "I8">;
}

/** The scales of all tensors that are stored in bytes, one after another by name: a tensor for each would cost more than it holds. */
export const SCALES_NAME = "int8.scales";
const LARGEST = 127;

/**
 * Every array in the wanted form. "int8": the whole numbers nearest to value / scale in [-127, 127], with a scale for each row, or for
 * each column of a factor B: the directions of an adapter differ in size, the values of one of them do not by much.
 */
export function storedAs(values: NamedArrays, dtype: UpdateDtype): StoredArrays {
  if (dtype === "f32") return { arrays: new Map(values), dtypes: new Map() };
  const dtypes = new Map([...values.keys()].map((name) => [name, formOf[dtype]] as const));
  if (dtype === "f16") return { arrays: new Map(values), dtypes };
  const arrays: NamedArrays = new Map();
  const allScales: number[] = [];
  for (const [name, array] of byName(values)) {
    const { numbers, scales } = quantised(array, scaledByColumn(name));
    arrays.set(name, numbers);
    allScales.push(...scales);
  }
  arrays.set(SCALES_NAME, hostArray([allScales.length], Float32Array.from(allScales)));
  return { arrays, dtypes };
}

const formOf = { f16: "F16", int8: "I8" } as const;

/** The values of all tensors of a file, whatever they are stored as. Throws CheckpointError for bytes without their scales. */
export function storedValues(file: Safetensors): NamedArrays {
  const values: NamedArrays = new Map();
  const scales = file.read(SCALES_NAME)?.data ?? new Float32Array();
  let used = 0;
  for (const [name, { dtype, shape }] of byName(file.tensors)) {
    if (name === SCALES_NAME) continue;
    if (dtype === "I8") {
      const { count } = groupsOf(shape, scaledByColumn(name));
      values.set(name, fromBytes(file, name, scales.subarray(used, used + count)));
      used += count;
    } else values.set(name, file.read(name) as HostArray);
  }
  if (used === scales.length) return values;
  throw new CheckpointError(`${file.origin}: values in bytes`, {
    expected: `${used} scales for them`,
    got: String(scales.length),
  });
}

function byName<T>(entries: ReadonlyMap<string, T>): [string, T][] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
}

function scaledByColumn(name: string): boolean {
  return name.endsWith(".lora_B.weight");
}

function quantised(
  { shape, data }: HostArray,
  byColumn: boolean,
): { readonly numbers: HostArray; readonly scales: Float32Array } {
  const { count, scaleAt } = groupsOf(shape, byColumn);
  const scales = new Float32Array(count);
  data.forEach((value, i) => {
    const at = scaleAt(i);
    scales[at] = Math.max(scales[at] as number, Math.abs(value));
  });
  scales.forEach((largest, at) => (scales[at] = largest / LARGEST));
  const numbers = data.map((value, i) => {
    const scale = scales[scaleAt(i)] as number;
    return scale === 0 ? 0 : Math.max(-LARGEST, Math.min(LARGEST, Math.round(value / scale)));
  });
  return { numbers: hostArray(shape, numbers), scales };
}

function fromBytes(file: Safetensors, name: string, scales: Float32Array): HostArray {
  const { shape, bytes } = file.readRaw(name) as RawTensor;
  const { scaleAt } = groupsOf(shape, scaledByColumn(name));
  // A scale that is missing makes a value that is not a number, and the count is checked in the end.
  const values = Float32Array.from(
    new Int8Array(bytes.buffer),
    (value, i) => value * (scales[scaleAt(i)] ?? Number.NaN),
  );
  return hostArray(shape, values);
}

/** How many scales a tensor has, and which one belongs to the value at an index; a vector has one. */
function groupsOf(
  shape: readonly number[],
  byColumn: boolean,
): { readonly count: number; readonly scaleAt: (index: number) => number } {
  const [rows = 1, width = 1] = shape;
  if (shape.length < 2) return { count: 1, scaleAt: () => 0 };
  return byColumn
    ? { count: width, scaleAt: (index) => index % width }
    : { count: rows, scaleAt: (index) => Math.floor(index / width) };
}
