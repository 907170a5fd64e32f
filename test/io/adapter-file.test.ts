/** The adapter file: round trips with everything in it, stable bytes, and what it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostArray, type HostArray, type NamedArrays } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { scoreTensors } from "../../src/base/structure.ts";
import { adapterArrays, decodeAdapterFile, encodeAdapterFile } from "../../src/io/adapter-file.ts";
import { SCALES_NAME, storedAs } from "../../src/io/adapter-values.ts";
import { decodeSafetensors, Safetensors } from "../../src/io/safetensors.ts";
import { encodeSafetensors } from "../../src/io/safetensors-writer.ts";
import { randomAdapter } from "../support/adapters.ts";

const adapter = () => randomAdapter(Rng.fromSeed("adapter file"), 3, 2);
const scores = (): NamedArrays =>
  new Map([
    [scoreTensors.heads, hostArray([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))],
    [scoreTensors.ffn, hostArray([2, 2], Float32Array.of(0.5, 0, 0.25, 1))],
  ]);
/** As the file gives it back: ordered by name. */
const sorted = <T extends { name: string }>(modules: readonly T[]): T[] =>
  [...modules].sort((x, y) => (x.name < y.name ? -1 : 1));

test("an adapter comes back from its file with structure, scores and scale", () => {
  const { modules, heads } = adapter();
  const bytes = encodeAdapterFile({ modules, heads, structureText: "e.c,7.8", scores: scores() });
  assert.deepEqual(decodeAdapterFile(bytes, "update"), {
    modules: sorted(modules),
    heads,
    scores: new Map([...scores()].sort(([x], [y]) => (x < y ? -1 : 1))),
    structureText: "e.c,7.8",
  });
});

test("without structure and scores the file says so, and states the constant scale once", () => {
  const bytes = encodeAdapterFile(adapter());
  const { structureText, scores: none } = decodeAdapterFile(bytes, "update");
  assert.equal(structureText, null);
  assert.equal(none.size, 0);
  assert.deepEqual(Safetensors.fromBytes(bytes, "update").metadata, { format: "pt", scale: "2" });
});

test("modules of different scales keep them", () => {
  const { modules, heads } = adapter();
  const mixed = modules.map((module, i) => ({ ...module, scale: i === 0 ? 2 : 1 / 3 }));
  const read = decodeAdapterFile(encodeAdapterFile({ modules: mixed, heads }), "update");
  assert.deepEqual(read.modules, sorted(mixed));
});

test("the bytes depend on the contents alone, not on the order or the ownership of modules", () => {
  const { modules, heads } = adapter();
  const expected = encodeAdapterFile({ modules, heads, scores: scores() });
  const turned = [...modules].reverse().map((module) => ({
    ...module,
    rows: { indices: [], of: 0 },
  }));
  const turnedScores: NamedArrays = new Map([...scores()].reverse());
  assert.deepEqual(
    encodeAdapterFile({ modules: turned, heads, scores: turnedScores, structureText: null }),
    expected,
  );
});

test("a file without a scale takes the caller's, and one with another scale is refused", () => {
  const { modules, heads } = adapter();
  const bare = encodeSafetensors(adapterArrays({ modules, heads }));
  assert.ok(decodeAdapterFile(bare, "update", 2).modules.every(({ scale }) => scale === 2));
  assert.throws(() => decodeAdapterFile(bare, "update"), /scale of layers.0.down.*got none/);
  const stated = encodeAdapterFile({ modules, heads });
  assert.equal(decodeAdapterFile(stated, "update", 2).modules[0]?.scale, 2);
  assert.throws(() => decodeAdapterFile(stated, "update", 4), /expected 4, got 2/);
});

test("a scale that was computed in another way is still the same", () => {
  const { modules, heads } = adapter();
  const rounded = modules.map((module) => ({ ...module, scale: 2 + 4e-16 }));
  const read = decodeAdapterFile(encodeAdapterFile({ modules: rounded, heads }), "update", 2);
  assert.ok(read.modules.every(({ scale }) => scale === 2));
});

test("the tensors have the names that PEFT uses", () => {
  const names = [...decodeSafetensors(encodeAdapterFile(adapter()), "update").keys()];
  assert.deepEqual(names, [
    "classifier.weight",
    "layers.0.down.lora_A.weight",
    "layers.0.down.lora_B.weight",
    "layers.0.query.lora_A.weight",
    "layers.0.query.lora_B.weight",
  ]);
});

const refused: Record<string, { tensors: NamedArrays; metadata?: Record<string, string> }> = {
  "a factor without its partner": {
    tensors: new Map([["x.lora_A.weight", hostArray([1, 2])]]),
  },
  "scores of unknown units": { tensors: new Map([["scores.experts", hostArray([1, 2])]]) },
  "scores that are no matrix": { tensors: new Map([["scores.ffn", hostArray([2])]]) },
  ...Object.fromEntries(
    ["0", "-1", "NaN", "Infinity", "", "two"].map((scale) => [
      `a scale of "${scale}"`,
      { tensors: adapterArrays(adapter()), metadata: { scale } },
    ]),
  ),
};
for (const [what, { tensors, metadata = { scale: "1" } }] of Object.entries(refused)) {
  test(`a file with ${what} is refused`, () => {
    const bytes = encodeSafetensors(tensors, { metadata });
    assert.throws(() => decodeAdapterFile(bytes, "update"), CheckpointError);
  });
}

test("a head or a score with a name that means something else cannot be written", () => {
  const { modules } = adapter();
  for (const name of ["scores.ffn", "x.lora_A.weight"]) {
    const heads: NamedArrays = new Map([[name, hostArray([1, 2])]]);
    assert.throws(() => encodeAdapterFile({ modules, heads }), CheckpointError);
  }
  const wrong: NamedArrays = new Map([["classifier.weight", hostArray([1, 2])]]);
  assert.throws(
    () => encodeAdapterFile({ modules, heads: new Map(), scores: wrong }),
    CheckpointError,
  );
});

test("half precision and bytes are read back as what they stand for, and are smaller", () => {
  const whole = randomAdapter(Rng.fromSeed("coarse"), 3, 2, [
    { name: "layers.0.wide", numOutputs: 80, numInputs: 120 },
  ]);
  const sizes = (["f32", "f16", "int8"] as const).map((dtype) => {
    const bytes = encodeAdapterFile({ ...whole, scores: scores() }, dtype);
    const read = decodeAdapterFile(bytes, "update", 2);
    assert.deepEqual([...read.scores.keys()].sort(), [...scores().keys()].sort());
    for (const [name, { data }] of read.scores) assert.deepEqual(data, scores().get(name)?.data);
    const [got, want] = [read, whole].map(adapterArrays);
    const step = { f32: 0, f16: 2 ** -11, int8: 1 / 254 }[dtype];
    for (const [name, { shape, data }] of want ?? []) {
      const other = got?.get(name);
      assert.deepEqual(other?.shape, shape);
      const [, width = 1] = shape;
      data.forEach((value, i) => {
        // Bytes have a scale for each direction, which is a row of A and a column of B.
        const isGroup = (_: number, at: number): boolean =>
          name.endsWith("B.weight")
            ? at % width === i % width
            : Math.floor(at / width) === Math.floor(i / width);
        const largest =
          dtype === "int8" ? Math.max(...data.filter(isGroup).map(Math.abs)) : Math.abs(value);
        const error = Math.abs(value - (other.data[i] ?? Number.NaN));
        assert.ok(error <= 1.0001 * step * largest, `${name} ${dtype}: ${error}`);
      });
    }
    return bytes.length;
  });
  const [f32 = 0, f16 = 0, int8 = 0] = sizes;
  assert.ok(f16 < 0.65 * f32 && int8 < 0.5 * f32, sizes.join());
});

test("bytes without their scales, with too many, or with one that is not finite are no adapter", () => {
  const { arrays, dtypes } = storedAs(adapterArrays(adapter()), "int8");
  const file = (scales: HostArray | null): Uint8Array => {
    const changed = new Map(arrays);
    if (scales === null) changed.delete(SCALES_NAME);
    else changed.set(SCALES_NAME, scales);
    return encodeSafetensors(changed, { dtypes, metadata: { scale: "2" } });
  };
  const count = arrays.get(SCALES_NAME)?.data.length ?? 0;
  assert.throws(() => decodeAdapterFile(file(null), "update"), CheckpointError);
  assert.throws(() => decodeAdapterFile(file(hostArray([count + 1])), "update"), CheckpointError);
  const wild = hostArray([count], new Float32Array(count).fill(Infinity));
  const { modules } = decodeAdapterFile(file(wild), "update");
  assert.ok(
    modules.some(({ a }) => !a.data.every(Number.isFinite)),
    "for the check of values to refuse",
  );
});
