/** The parameter store: loading by name and alias, starting at random, and giving memory back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostArray, type HostArray } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { ParameterStore, type Init } from "../../src/nn/parameters.ts";
import { inMemory, type ParameterSource, type SourceTensor } from "../../src/nn/source.ts";
import { Engine } from "../../src/tensor/engine.ts";

const NORMAL: Init = { kind: "normal", std: 0.5 };

function source(tensors: Record<string, HostArray>): ParameterSource {
  const open = (name: string): SourceTensor | undefined => {
    const host = tensors[name];
    return host && inMemory(host);
  };
  return { origin: "a/model.safetensors", open };
}

const pair = (a: number, b: number): HostArray => hostArray([2], Float32Array.of(a, b));

test("a parameter is read once and shared by everyone who takes it", () => {
  const engine = Engine.create();
  const store = new ParameterStore(engine, { source: source({ w: pair(1, 2) }) });
  const first = store.take("w", [2], { init: NORMAL });
  assert.deepEqual([...first.tensor.f32], [1, 2]);
  assert.equal(store.take("w", [2], { init: NORMAL }), first);
  assert.equal(store.get("w"), first);
  assert.equal(store.isFresh("w"), false);
  assert.deepEqual(store.all(), [first]);
  assert.equal(first.tensor.region, "weights");
});

test("aliases are tried after the name and stored under the name", () => {
  const tensors = { old: pair(5, 6), name: pair(1, 2) };
  const options = { init: NORMAL, aliases: ["older", "old"] };
  const both = new ParameterStore(Engine.create(), { source: source(tensors) });
  assert.deepEqual([...both.take("name", [2], options).tensor.f32], [1, 2]);
  const aliased = new ParameterStore(Engine.create(), { source: source({ old: tensors.old }) });
  const taken = aliased.take("name", [2], options);
  assert.equal(taken.name, "name");
  assert.deepEqual([...taken.tensor.f32], [5, 6]);
});

test("a missing tensor and another shape are refused with origin, name, expected and got", () => {
  const store = new ParameterStore(Engine.create(), {
    source: source({ w: pair(1, 2) }),
    rng: Rng.fromSeed(1),
  });
  assert.throws(
    () => store.take("v", [3], { init: NORMAL }),
    (error) =>
      error instanceof CheckpointError &&
      /a\/model\.safetensors: tensor v is missing: expected \[3\]/.test(error.message),
  );
  assert.throws(
    () => store.take("w", [1, 2], { init: NORMAL }),
    (error) =>
      error instanceof CheckpointError &&
      /tensor w has another shape: expected \[1, 2\], got \[2\]/.test(error.message),
  );
});

test("an optional tensor that the source lacks starts fresh, which needs a seed", () => {
  const options = { init: NORMAL, optional: true };
  const store = new ParameterStore(Engine.create(), { source: source({}), rng: Rng.fromSeed(1) });
  store.take("head", [2], options);
  assert.equal(store.isFresh("head"), true);
  const unseeded = new ParameterStore(Engine.create(), { source: source({}) });
  assert.throws(() => unseeded.take("head", [2], options), CheckpointError);
  const zero: Init = { kind: "constant", value: 0.25 };
  const { tensor } = unseeded.take("bias", [3], { init: zero, optional: true });
  assert.deepEqual([...tensor.f32], [0.25, 0.25, 0.25]);
});

test("random starts depend on seed and name, not on the order of asking", () => {
  const values = (seed: number, names: string[]): Map<string, Float32Array> => {
    const store = new ParameterStore(Engine.create(), { rng: Rng.fromSeed(seed) });
    for (const name of names) store.take(name, [40, 50], { init: NORMAL });
    return new Map(store.all().map(({ name, tensor }) => [name, tensor.toHost()]));
  };
  const [ab, ba] = [values(1, ["a", "b"]), values(1, ["b", "a"])];
  assert.deepEqual(ab.get("a"), ba.get("a"));
  assert.notDeepEqual(ab.get("a"), ab.get("b"));
  assert.notDeepEqual(values(2, ["a"]).get("a"), ab.get("a"));
  const sample = ab.get("a") ?? new Float32Array(0);
  const mean = sample.reduce((sum, value) => sum + value, 0) / sample.length;
  const variance = sample.reduce((sum, value) => sum + (value - mean) ** 2, 0) / sample.length;
  assert.ok(Math.abs(mean) < 0.05 && Math.abs(Math.sqrt(variance) - 0.5) < 0.05);
});

test("removing a parameter frees its memory and forgets it", () => {
  const engine = Engine.create();
  const store = new ParameterStore(engine, { rng: Rng.fromSeed(1) });
  store.take("a", [100], { init: NORMAL });
  const { weights } = engine.stats;
  store.take("b", [1000], { init: NORMAL });
  store.remove("b");
  store.remove("never there");
  assert.equal(engine.stats.weights, weights);
  assert.equal(store.get("b"), undefined);
});
