/** Safetensors: round trips, real files, lazy and sharded reading, and no way to crash the reader. */
import assert from "node:assert/strict";
import { readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { hostArray, sizeOf, type NamedArrays } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { writeJson } from "../../src/io/json.ts";
import {
  decodeSafetensors,
  readAll,
  Safetensors,
  ShardedSafetensors,
} from "../../src/io/safetensors.ts";
import { encodeSafetensors, writeSafetensors } from "../../src/io/safetensors-writer.ts";
import { fixture } from "../support/fixtures.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const names = fc.oneof(
  fc.constantFrom("layer.0.weight", "10", "2", "__proto__", 'quote"d', "ä\u0000"),
  fc.string({ unit: "grapheme", maxLength: 12 }).filter((name) => name !== "__metadata__"),
);
const arrays = fc
  .array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })
  .chain((shape) =>
    fc
      .array(fc.float(), { minLength: sizeOf(shape), maxLength: sizeOf(shape) })
      .map((values) => hostArray(shape, Float32Array.from(values))),
  );
const tensorMaps = fc
  .uniqueArray(fc.tuple(names, arrays), { selector: ([name]) => name, maxLength: 6 })
  .map((entries): NamedArrays => new Map(entries));

const small: NamedArrays = new Map([
  ["b.weight", hostArray([2, 2], Float32Array.of(1, -2, 0.5, 65504))],
  ["a.bias", hostArray([3], Float32Array.of(0, -0, 1e-7))],
]);

/** A file around a header given as text or object. */
function fileOf(header: unknown, dataBytes: number): Uint8Array {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

function refuses(bytes: Uint8Array, ...patterns: RegExp[]): void {
  assert.throws(
    () => Safetensors.fromBytes(bytes, "weights"),
    (error) => {
      assert.ok(error instanceof CheckpointError, String(error));
      for (const pattern of [/weights/, ...patterns]) assert.match(error.message, pattern);
      return true;
    },
  );
}

test("what is encoded decodes to the same names, shapes and bits", () => {
  fc.assert(
    fc.property(tensorMaps, (tensors) => {
      const decoded = decodeSafetensors(encodeSafetensors(tensors), "bytes");
      assert.deepEqual([...decoded.keys()].sort(), [...tensors.keys()].sort());
      for (const [name, { shape, data }] of tensors) {
        const back = decoded.get(name);
        assert.deepEqual(back?.shape, shape);
        assert.deepEqual(Buffer.from(back.data.buffer), Buffer.from(data.buffer));
      }
    }),
  );
});

test("the bytes do not depend on the order of the tensors or the metadata", () => {
  const reversed: NamedArrays = new Map([...small].reverse());
  assert.deepEqual(
    encodeSafetensors(reversed, { metadata: { b: "2", a: "1" } }),
    encodeSafetensors(small, { metadata: { a: "1", b: "2" } }),
  );
});

test("values start at a multiple of eight bytes and metadata comes back", () => {
  const bytes = encodeSafetensors(small, { metadata: { alpha: "16" } });
  const file = Safetensors.fromBytes(bytes, "bytes");
  assert.deepEqual({ ...file.metadata }, { alpha: "16" });
  assert.equal(
    file.tensors.get("a.bias")?.byteStart,
    8 + Number(new DataView(bytes.buffer).getBigUint64(0, true)),
  );
  assert.equal((file.tensors.get("a.bias")?.byteStart as number) % 8, 0);
});

test("float16 halves the size and rounds to the nearest value", () => {
  const bytes = encodeSafetensors(small, { dtype: "F16" });
  const back = decodeSafetensors(bytes, "bytes");
  assert.deepEqual([...(back.get("b.weight")?.data ?? [])], [1, -2, 0.5, 65504]);
  assert.deepEqual([...(back.get("a.bias")?.data ?? [])], [0, -0, 2 * 2 ** -24]);
  assert.equal(Safetensors.fromBytes(bytes, "bytes").tensors.get("a.bias")?.byteLength, 6);
});

test("bfloat16 is read; integers are listed, not converted", () => {
  const bytes = fileOf(
    {
      half: { dtype: "BF16", shape: [2], data_offsets: [0, 4] },
      ids: { dtype: "I64", shape: [1], data_offsets: [4, 12] },
    },
    12,
  );
  bytes.set([0x80, 0x3f, 0x20, 0xc0], bytes.length - 12);
  const file = Safetensors.fromBytes(bytes, "weights");
  assert.deepEqual([...(file.read("half")?.data ?? [])], [1, -2.5]);
  assert.equal(file.tensors.get("ids")?.dtype, "I64");
  assert.equal(file.readRaw("ids")?.bytes.length, 8);
  assert.throws(() => file.read("ids"), /weights: tensor ids .*F32, F16 or BF16, got I64/s);
  assert.equal(file.read("absent"), undefined);
});

test("a file is written whole, read lazily, and closed", (context) => {
  const path = join(temporaryFolder(context), "new", "model.safetensors");
  writeSafetensors(path, small);
  assert.deepEqual(new Uint8Array(readFileSync(path)), encodeSafetensors(small));
  const file = Safetensors.open(path);
  assert.deepEqual(file.read("b.weight"), small.get("b.weight"));
  truncateSync(path, 10);
  assert.throws(() => file.read("a.bias"), CheckpointError);
  file.close();
});

test("tensors that cannot be stored are refused", () => {
  const wrongSize: NamedArrays = new Map([["w", hostArray([2, 2], new Float32Array(3))]]);
  assert.throws(() => encodeSafetensors(wrongSize), CheckpointError);
  const reserved: NamedArrays = new Map([["__metadata__", hostArray([1])]]);
  assert.throws(() => encodeSafetensors(reserved), CheckpointError);
});

test("a file written by the reference implementation is read", () => {
  const file = Safetensors.open(fixture("peft-bert", "base", "model.safetensors"));
  assert.deepEqual(file.tensors.get("classifier.weight")?.shape, [3, 8]);
  assert.equal(readAll(file).size, 41);
  file.close();
});

test("the shared checkpoints are read", { skip: missing("llama-stories260K") }, () => {
  const file = Safetensors.open(join(sharedData, "llama-stories260K", "model.safetensors"));
  assert.deepEqual(file.read("model.embed_tokens.weight")?.shape, [512, 64]);
  file.close();
});

test("shards are joined by their index, which may not point out of the folder", (context) => {
  const folder = temporaryFolder(context);
  const index = join(folder, "model.safetensors.index.json");
  for (const [name, array] of small) {
    writeSafetensors(join(folder, `${name}.safetensors`), new Map([[name, array]]));
  }
  const files = (extra: Record<string, string>) => ({
    weight_map: { "a.bias": "a.bias.safetensors", "b.weight": "b.weight.safetensors", ...extra },
  });
  writeJson(index, files({}));
  const sharded = ShardedSafetensors.open(index);
  assert.deepEqual([...sharded.tensors.keys()], ["a.bias", "b.weight"]);
  assert.deepEqual(sharded.read("b.weight"), small.get("b.weight"));
  assert.equal(sharded.readRaw("a.bias")?.bytes.length, 12);
  sharded.close();
  writeJson(index, files({ "c.weight": "a.bias.safetensors" }));
  assert.throws(() => ShardedSafetensors.open(index), /tensor c\.weight is missing/);
  writeJson(index, files({ "c.weight": "../a.bias.safetensors" }));
  assert.throws(() => ShardedSafetensors.open(index), CheckpointError);
  writeJson(index, files({ "c.weight": "absent.safetensors" }));
  assert.throws(() => ShardedSafetensors.open(index), /absent\.safetensors/);
});

test("every inconsistency of a header is refused by name", () => {
  const entry = (shape: unknown, offsets: unknown, dtype: unknown = "F32") => ({
    dtype,
    shape,
    data_offsets: offsets,
  });
  refuses(new Uint8Array(3), /at least 8 bytes, got 3/);
  refuses(fileOf("{}", 0).fill(0xff, 0, 8), /header is larger/);
  refuses(fileOf("[]", 0), /holds the wrong thing/);
  refuses(fileOf(" {}", 0), /holds the wrong thing/);
  refuses(fileOf("{", 0), /not JSON/);
  refuses(fileOf("{}", 4), /belong to no tensor/);
  refuses(fileOf({ w: entry([2], [0, 8]) }, 4), /truncated in tensor w/);
  refuses(fileOf({ w: entry([2], [0, 4]) }, 4), /tensor w .*8 bytes for F32 \[2\], got 4 bytes/s);
  refuses(fileOf({ w: entry([1], [4, 8]) }, 8), /tensor w leaves a gap/);
  refuses(fileOf({ v: entry([2], [0, 8]), w: entry([1], [4, 8]) }, 8), /overlaps another/);
  refuses(fileOf({ w: entry([1], [4, 0]) }, 4), /tensor w/);
  refuses(fileOf({ w: entry([-1], [0, 4]) }, 4), /tensor w: shape/);
  refuses(fileOf({ w: entry([0.5], [0, 2]) }, 2), /tensor w: shape/);
  refuses(fileOf({ w: entry([2 ** 30, 2 ** 30], [0, 4]) }, 4), /tensor w/);
  refuses(fileOf({ w: entry([1], [0]) }, 4), /tensor w: data_offsets/);
  refuses(fileOf({ w: entry([1], [0, 4], "F31") }, 4), /tensor w: dtype/);
  refuses(fileOf({ w: 7 }, 0), /tensor w/);
  refuses(fileOf({ __metadata__: { format: 1 } }, 0), /__metadata__/);
  const one = JSON.stringify(entry([0], [0, 0]));
  refuses(fileOf(`{"w":${one},"\\u0077":${one}}`, 0), /tensor w.*once, got twice/s);
});

test("missing files and folders are refused by path", (context) => {
  const folder = temporaryFolder(context);
  assert.throws(() => Safetensors.open(join(folder, "absent")), CheckpointError);
  assert.throws(() => Safetensors.open(folder), CheckpointError);
});

/** Reads everything there is; only a CheckpointError may come out. */
function survives(bytes: Uint8Array): void {
  try {
    decodeSafetensors(bytes, "fuzzed");
  } catch (error) {
    assert.ok(error instanceof CheckpointError, String(error));
  }
}

test("every truncation of a file is refused", () => {
  const bytes = encodeSafetensors(small);
  for (let length = 0; length < bytes.length; length++) refuses(bytes.subarray(0, length));
});

test("mutated files give a CheckpointError or tensors, never a crash", () => {
  const bytes = encodeSafetensors(small);
  const edit = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      const mutated = bytes.slice();
      for (const [at, value] of edits) mutated[at] = value;
      survives(mutated);
    }),
    { numRuns: 3000 },
  );
});

test("arbitrary JSON as a header never crashes the reader", () => {
  const field = fc.oneof(fc.integer(), fc.double(), fc.constantFrom("F32", "F16", null, [], {}));
  const odd = fc.record(
    {
      dtype: fc.oneof(fc.constantFrom("F32", "I8"), field),
      shape: fc.oneof(fc.array(fc.integer({ min: -1, max: 3 }), { maxLength: 3 }), field),
      data_offsets: fc.oneof(fc.array(fc.integer({ min: -1, max: 9 }), { maxLength: 3 }), field),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.oneof(odd, fc.jsonValue())),
      fc.nat(16),
      (header, n) => {
        survives(fileOf(header, n));
      },
    ),
    { numRuns: 1000 },
  );
});
