/** Writing safetensors: the same tensors always give the same bytes, whatever order they came in. */
import { shapeText, sizeOf, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { writeFileAtomic } from "./atomic-file.ts";
import { f32ToF16 } from "./half-precision.ts";
import { dtypeBytes, headerLengthBytes } from "./safetensors-header.ts";

export interface SafetensorsOptions {
  /** What the values are stored as; F32 by default. */
  readonly dtype?: "F32" | "F16";
  /** The same for single tensors; the values of an I8 one are whole numbers in [-128, 127]. */
  readonly dtypes?: ReadonlyMap<string, "F32" | "F16" | "I8">;
  /** Texts kept with the tensors; `{ format: "pt" }` by default, which Hugging Face loaders ask for. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The tensors as the bytes of a safetensors file. Throws CheckpointError for an unusable name or shape. */
export function encodeSafetensors(
  tensors: NamedArrays,
  options: SafetensorsOptions = {},
): Uint8Array<ArrayBuffer> {
  const { header, values, byteLength } = layOut(tensors, options);
  const bytes = new Uint8Array(byteLength);
  bytes.set(header);
  let at = header.length;
  for (const chunk of values()) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Writes a safetensors file atomically. Throws CheckpointError for unusable tensors, DataError for a failing disk. */
export function writeSafetensors(
  path: string,
  tensors: NamedArrays,
  options: SafetensorsOptions = {},
): void {
  const { header, values } = layOut(tensors, options);
  writeFileAtomic(path, chain(header, values()));
}

function* chain(first: Uint8Array, rest: Iterable<Uint8Array>): Generator<Uint8Array> {
  yield first;
  yield* rest;
}

/** Header bytes and, made one at a time, the bytes of each tensor: sorted by name. */
function layOut(
  tensors: NamedArrays,
  { dtype = "F32", dtypes = new Map(), metadata = { format: "pt" } }: SafetensorsOptions,
): { header: Uint8Array; values: () => Generator<Uint8Array>; byteLength: number } {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  const entries: [string, unknown][] = [["__metadata__", sortedRecord(metadata)]];
  let offset = 0;
  for (const [name, { shape, data }] of sorted) {
    if (name === "__metadata__" || sizeOf(shape) !== data.length) {
      throw new CheckpointError(`tensor ${name} cannot be stored`, {
        expected: `${sizeOf(shape)} values for ${shapeText(shape)} and another name than __metadata__`,
        got: `${data.length} values`,
      });
    }
    const own = dtypes.get(name) ?? dtype;
    const end = offset + data.length * dtypeBytes[own];
    entries.push([name, { dtype: own, shape, data_offsets: [offset, end] }]);
    offset = end;
  }
  const header = headerBytes(entries);
  return {
    header,
    byteLength: header.length + offset,
    *values() {
      for (const [name, { data }] of sorted) {
        const stored = asStored(data, dtypes.get(name) ?? dtype);
        yield new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
      }
    },
  };
}

function asStored(
  data: Float32Array,
  dtype: "F32" | "F16" | "I8",
): Float32Array | Uint16Array | Int8Array {
  if (dtype === "F16") return f32ToF16(data);
  return dtype === "I8" ? Int8Array.from(data) : data;
}

/** Spaces fill the JSON up so that the values start at a multiple of eight bytes. */
function headerBytes(entries: readonly [string, unknown][]): Uint8Array {
  // Joined by hand: an object would move keys that look like numbers to the front.
  const fields = entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = Buffer.from(`{${fields.join(",")}}`);
  const jsonLength = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(headerLengthBytes + jsonLength).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(jsonLength), true);
  bytes.set(json, headerLengthBytes);
  return bytes;
}

function sortedRecord(record: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
