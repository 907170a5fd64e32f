/** Reading safetensors, from a file one tensor at a time or from bytes, and from sharded checkpoints. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import type { HostArray, NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { bf16ToF32, f16ToF32 } from "./half-precision.ts";
import { readJson } from "./json.ts";
import {
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
  /** The stored bytes, for conversion elsewhere; undefined for a name that is not there. */
  readRaw(name: string): RawTensor | undefined;
  close(): void;
}

interface ByteSource {
  readonly byteLength: number;
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
      read: (start, length) => new Uint8Array(bytes.subarray(start, start + length)),
      close: () => undefined,
    };
    return new Safetensors(source, readHeader(source, origin), origin);
  }

  read(name: string): HostArray | undefined {
    const raw = this.readRaw(name);
    return raw && { shape: raw.shape, data: asFloat32(raw, `${this.origin}: tensor ${name}`) };
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

function asFloat32({ dtype, bytes }: RawTensor, what: string): Float32Array {
  switch (dtype) {
    case "F32":
      return new Float32Array(bytes.buffer);
    case "F16":
      return f16ToF32(new Uint16Array(bytes.buffer));
    case "BF16":
      return bf16ToF32(new Uint16Array(bytes.buffer));
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
    read: (start, length) => reading(path, () => readRange(file, start, length)),
    close: () => closeSync(file),
  };
}

function readRange(file: number, start: number, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let at = 0;
  while (at < length) {
    const got = readSync(file, bytes, at, Math.min(length - at, 2 ** 30), start + at);
    if (got === 0) throw new CheckpointError("the file shrank while it was read");
    at += got;
  }
  return bytes;
}

function reading<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    throw new CheckpointError(`cannot read ${path}`, { cause });
  }
}
