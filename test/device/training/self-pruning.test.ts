/** Ranks that prune themselves: the gradient of the tail, and when it is cut off. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostArray, type NamedArrays } from "../../../src/base/arrays.ts";
import { Rng } from "../../../src/base/rng.ts";
import { firstDirections, SelfPruning } from "../../../src/device/training/self-pruning.ts";
import { encodeAdapterFile } from "../../../src/io/adapter-file.ts";
import { Engine } from "../../../src/tensor/engine.ts";
import { assertAllClose } from "../../support/all-close.ts";
import { must } from "../../support/must.ts";
import {
  PLAN,
  round,
  someModules,
  tinyBase,
  tinyDevice,
  type RoundOfOne,
} from "../../support/tiny-device.ts";

const SCALE = PLAN.alpha / PLAN.rank;

/** One pair of rank 4 in an engine, with gradients of zero. */
function onePair() {
  const engine = Engine.create();
  const rng = Rng.fromSeed("pair");
  const fill = (shape: readonly number[]) => {
    const tensor = engine.empty(shape, "state");
    tensor.f32.set(Float32Array.from({ length: tensor.size }, () => rng.normal()));
    return tensor;
  };
  const trained = [
    { name: "x.lora_A.weight", tensor: fill([4, 5]), gradient: engine.zeros([4, 5], "state") },
    { name: "x.lora_B.weight", tensor: fill([3, 4]), gradient: engine.zeros([3, 4], "state") },
  ];
  return { engine, trained };
}

test("the gradient of the tail term is its central difference", () => {
  const { trained } = onePair();
  const selfPruning = new SelfPruning(trained, { weight: 0.7, share: 0.5 });
  assert.equal(selfPruning.rank, 2);
  selfPruning.addGradients(trained);
  const step = 1e-2;
  for (const { name, tensor, gradient } of trained) {
    const differences = Array.from({ length: tensor.size }, (_, i) => {
      const value = must(tensor.f32[i]);
      tensor.f32[i] = value + step;
      const above = selfPruning.tail();
      tensor.f32[i] = value - step;
      const below = selfPruning.tail();
      tensor.f32[i] = value;
      return (0.7 * (above - below)) / (2 * step);
    });
    assertAllClose(gradient.f32, differences, 1e-3, name);
  }
});

test("a tail of zero has no gradient, and one direction is never tail", () => {
  const { trained } = onePair();
  must(trained[1]).tensor.f32.fill(0);
  const selfPruning = new SelfPruning(trained, { weight: 1, share: 0.01 });
  assert.equal(selfPruning.rank, 1);
  selfPruning.addGradients(trained);
  for (const { gradient } of trained) assert.ok(gradient.f32.every((value) => value === 0));
  assert.equal(selfPruning.hasGivenWay, false);
});

test("the first directions of a factor are rows of A and columns of B", () => {
  const values: NamedArrays = new Map([
    ["x.lora_A.weight", hostArray([3, 2], Float32Array.of(1, 2, 3, 4, 5, 6))],
    ["x.lora_B.weight", hostArray([2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))],
    ["head", hostArray([1], Float32Array.of(7))],
  ]);
  const cut = firstDirections(values, 2);
  assert.deepEqual(cut.get("x.lora_A.weight"), hostArray([2, 2], Float32Array.of(1, 2, 3, 4)));
  assert.deepEqual(cut.get("x.lora_B.weight"), hostArray([2, 2], Float32Array.of(1, 2, 4, 5)));
  assert.deepEqual(cut.get("head"), values.get("head"));
});

test("a tail that gave way under its weight is cut off the update, one that grew is not", async (t) => {
  const folder = tinyBase(t);
  const rank = 4;
  const wide = { rank, alpha: rank * SCALE };
  const modules = someModules(folder, () => rank);
  const { heads } = await round(await tinyDevice(folder), {});
  const adapter = encodeAdapterFile({ modules, heads });
  const train = async (weight: number, share: number): Promise<RoundOfOne> =>
    round(
      await tinyDevice(folder),
      { ...wide, selfPruning: { weight, share }, steps: 12 },
      adapter,
    );
  const pushed = await train(10, 0.5);
  assert.equal(pushed.report.rank, 2);
  for (const { a, b, scale } of pushed.modules) {
    assert.deepEqual([a.shape[0], b.shape[1], scale], [2, 2, SCALE]);
  }
  // A round from nothing: the tail of B starts at zero and can only grow.
  const selfPruning = { weight: 10, share: 0.5 };
  const fresh = await round(await tinyDevice(folder), { ...wide, selfPruning });
  assert.equal(fresh.report.rank, rank);
  // Nothing is tail when the share rounds to the whole rank.
  assert.equal((await train(10, 0.99)).report.rank, rank);
});
