/** Reading safetensors, from a file one tensor at a time or from bytes, and from sharded checkpoints. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { hostArray, type HostArray, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { bf16ToF32, f16ToF32 } from "./half-precision.ts";
import { readJson } from "./json.ts";
import {
  dtypeBytes,
  headerByteLength,
  headerLengthBytes,
  parseHeader,
  type Dtype,
  type SafetensorsHeader,
  type TensorInfo,
} from "./safetensors-header.ts";

/** A tensor as it is stored; `bytes` are a copy that starts at an aligned address. */
export interface RawTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Named tensors in one or several files; nothing but headers is held in memory. */
export interface TensorReader {
  /** File or folder, for errors. */
  readonly origin: string;
  /** What there is, by name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Values as float32, from F32, F16 or BF16; undefined for a name that is not there. */
  read(name: string): HostArray | undefined;
  /**
   * Fills `target` with a tensor's values as float32 from element `first` on, without a second copy of them: float32
   * goes from the file to where it belongs. Throws CheckpointError for a name or elements that are not there.
   */
  readInto(name: string, first: number, target: Float32Array): void;
  /** The stored bytes, for conversion elsewhere; undefined for a name that is not there. */
  readRaw(name: string): RawTensor | undefined;
  close(): void;
}

/** Numbers of 16 bits that are widened from one buffer: 128 KiB. */
const halvesAtATime = 65536;

interface ByteSource {
  readonly byteLength: number;
  /** Fills `target` from `start` on. */
  readInto(start: number, target: Uint8Array): void;
  /** A fresh copy of `length` bytes from `start`. */
  read(start: number, length: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

/** One safetensors file or byte array. Throws CheckpointError for every kind of damage. */
export class Safetensors implements TensorReader {
  readonly origin: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #source: ByteSource;

  private constructor(source: ByteSource, header: SafetensorsHeader, origin: string) {
    this.#source = source;
    this.origin = origin;
    this.metadata = header.metadata;
    this.tensors = header.tensors;
  }

  /** Opens a file and reads its header; close it after the last read. */
  static open(path: string): Safetensors {
    const source = fileSource(path);
    try {
      return new Safetensors(source, readHeader(source, path), path);
    } catch (error) {
      source.close();
      throw error;
    }
  }

  /** Reads from bytes, which must not change meanwhile; `origin` names them in errors. */
  static fromBytes(bytes: Uint8Array, origin: string): Safetensors {
    const source: ByteSource = {
      byteLength: bytes.length,
      readInto: (start, target) => target.set(bytes.subarray(start, start + target.length)),
      read: (start, length) => new Uint8Array(bytes.subarray(start, start + length)),
      close: () => undefined,
    };
    return new Safetensors(source, readHeader(source, origin), origin);
  }

  read(name: string): HostArray | undefined {
    const info = this.tensors.get(name);
    if (info === undefined) return undefined;
    const host = hostArray(info.shape);
    this.readInto(name, 0, host.data);
    return host;
  }

  readInto(name: string, first: number, target: Float32Array): void {
    const what = `${this.origin}: tensor ${name}`;
    const info = this.tensors.get(name);
    if (info === undefined) throw new CheckpointError(`${what} is missing`);
    const widen = widenOf(info.dtype, what);
    const bytes = dtypeBytes[info.dtype];
    const start = info.byteStart + first * bytes;
    if (first < 0 || (first + target.length) * bytes > info.byteLength) {
      throw new CheckpointError(`${what} ends before what was asked for`, {
        expected: `elements 0 to ${info.byteLength / bytes}`,
        got: `${first} to ${first + target.length}`,
      });
    }
    if (widen === null) {
      const { buffer, byteOffset, byteLength } = target;
      return this.#source.readInto(start, new Uint8Array(buffer, byteOffset, byteLength));
    }
    const room = new Uint16Array(Math.min(target.length, halvesAtATime));
    for (let at = 0; at < target.length; at += room.length) {
      const halves = room.subarray(0, Math.min(room.length, target.length - at));
      const { buffer, byteLength } = halves;
      this.#source.readInto(start + bytes * at, new Uint8Array(buffer, 0, byteLength));
      widen(halves, target.subarray(at, at + halves.length));
    }
  }

  readRaw(name: string): RawTensor | undefined {
    const info = this.tensors.get(name);
    if (info === undefined) return undefined;
    const bytes = this.#source.read(info.byteStart, info.byteLength);
    return { dtype: info.dtype, shape: info.shape, bytes };
  }

  close(): void {
    this.#source.close();
  }
}

/** A checkpoint in several files, joined by a `model.safetensors.index.json`. */
export class ShardedSafetensors implements TensorReader {
  readonly origin: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #shardOf: ReadonlyMap<string, Safetensors>;

  private constructor(origin: string, shardOf: ReadonlyMap<string, Safetensors>) {
    this.origin = origin;
    this.#shardOf = shardOf;
    this.tensors = new Map(
      [...shardOf].map(([name, shard]) => [name, shard.tensors.get(name) as TensorInfo]),
    );
  }

  /** Opens every shard that the index names. Throws CheckpointError when one is damaged or lacks a tensor. */
  static open(indexPath: string): ShardedSafetensors {
    const parsed = v.safeParse(indexSchema, readJson(indexPath));
    if (!parsed.success) {
      throw new CheckpointError(`${indexPath}: weight_map`, {
        expected: "file names in the same folder, by tensor name",
        got: parsed.issues[0].message,
      });
    }
    const shards = new Map<string, Safetensors>();
    const shardOf = new Map<string, Safetensors>();
    try {
      for (const [name, file] of Object.entries(parsed.output.weight_map)) {
        const shard = shards.get(file) ?? Safetensors.open(join(dirname(indexPath), file));
        shards.set(file, shard);
        if (!shard.tensors.has(name)) {
          throw new CheckpointError(`${shard.origin}: tensor ${name} is missing`, {
            expected: `what ${basename(indexPath)} promises`,
          });
        }
        shardOf.set(name, shard);
      }
    } catch (error) {
      for (const shard of shards.values()) shard.close();
      throw error;
    }
    return new ShardedSafetensors(dirname(indexPath), shardOf);
  }

  read(name: string): HostArray | undefined {
    return this.#shardOf.get(name)?.read(name);
  }

  readInto(name: string, first: number, target: Float32Array): void {
    const shard = this.#shardOf.get(name);
    if (shard === undefined) throw new CheckpointError(`${this.origin}: tensor ${name} is missing`);
    shard.readInto(name, first, target);
  }

  readRaw(name: string): RawTensor | undefined {
    return this.#shardOf.get(name)?.readRaw(name);
  }

  close(): void {
    for (const shard of new Set(this.#shardOf.values())) shard.close();
  }
}

const indexSchema = v.object({
  weight_map: v.record(
    v.string(),
    v.pipe(
      v.string(),
      v.check((file) => file === basename(file) && file !== "..", "a path out of the folder"),
    ),
  ),
});

/** All tensors of a byte array as float32. Throws CheckpointError when the bytes are damaged. */
export function decodeSafetensors(bytes: Uint8Array, origin: string): NamedArrays {
  return readAll(Safetensors.fromBytes(bytes, origin));
}

/** Every tensor of a reader as float32, in the order of the file. */
export function readAll(reader: TensorReader): NamedArrays {
  const arrays: NamedArrays = new Map();
  for (const name of reader.tensors.keys()) arrays.set(name, reader.read(name) as HostArray);
  return arrays;
}

/** How a type of 16 bits becomes float32; null for float32 itself. Throws CheckpointError for whole numbers. */
function widenOf(
  dtype: Dtype,
  what: string,
): ((halves: Uint16Array, out: Float32Array) => void) | null {
  switch (dtype) {
    case "F32":
      return null;
    case "F16":
      return f16ToF32;
    case "BF16":
      return bf16ToF32;
    default:
      throw new CheckpointError(`${what} has no values to compute with`, {
        expected: "F32, F16 or BF16",
        got: dtype,
        hint: "save the model in one of these types",
      });
  }
}

function readHeader(source: ByteSource, origin: string): SafetensorsHeader {
  const start = source.read(0, Math.min(headerLengthBytes, source.byteLength));
  const length = headerByteLength(start, source.byteLength, origin);
  return parseHeader(source.read(headerLengthBytes, length), source.byteLength, origin);
}

function fileSource(path: string): ByteSource {
  const file = reading(path, () => openSync(path, "r"));
  return {
    byteLength: reading(path, () => fstatSync(file).size),
    readInto: (start, target) => reading(path, () => readRange(file, start, target)),
    read: (start, length) => {
      const bytes = new Uint8Array(length);
      reading(path, () => readRange(file, start, bytes));
      return bytes;
    },
    close: () => closeSync(file),
  };
}

function readRange(file: number, start: number, target: Uint8Array): void {
  let at = 0;
  while (at < target.length) {
    const got = readSync(file, target, at, Math.min(target.length - at, 2 ** 30), start + at);
    if (got === 0) throw new CheckpointError("the file shrank while it was read");
    at += got;
  }
}

function reading<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw new CheckpointError(`cannot read ${path}`, { cause });
  }
}
