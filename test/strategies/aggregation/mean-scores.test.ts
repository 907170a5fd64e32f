/** The fleet's mean scores: normalised devices, owners alone, and what nobody knows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type NamedArrays, hostArray } from "../../../src/base/arrays.ts";
import { type Structure, fullStructure, scoreTensors } from "../../../src/base/structure.ts";
import { meanScores } from "../../../src/strategies/aggregation/mean-scores.ts";

const UNITS = { layers: 2, heads: 2, ffn: 3 };
const FULL = fullStructure(UNITS);

/** Values per layer: two heads, then three channels. */
function scored(deviceId: string, values: readonly number[], structure: Structure = FULL) {
  const pick = (from: number, to: number) =>
    Float32Array.from([0, 5].flatMap((layer) => values.slice(layer + from, layer + to)));
  const scores: NamedArrays = new Map([
    [scoreTensors.heads, hostArray([2, 2], pick(0, 2))],
    [scoreTensors.ffn, hostArray([2, 3], pick(2, 5))],
  ]);
  return { deviceId, structure, scores };
}

function valuesOf(scores: NamedArrays): number[] {
  const [heads, ffn] = [scoreTensors.heads, scoreTensors.ffn].map((name) => scores.get(name));
  assert.deepEqual(
    [heads?.shape, ffn?.shape],
    [
      [2, 2],
      [2, 3],
    ],
  );
  return [0, 1].flatMap((layer) => [
    ...(heads?.data.subarray(2 * layer, 2 * layer + 2) ?? []),
    ...(ffn?.data.subarray(3 * layer, 3 * layer + 3) ?? []),
  ]);
}

function expectClose(got: readonly number[], want: readonly number[]): void {
  assert.equal(got.length, want.length);
  want.forEach((value, i) =>
    assert.ok(Math.abs(value - (got[i] ?? Number.NaN)) < 1e-6, `${i}: ${got[i]}`),
  );
}

const ONES = [3, 1, 1, 1, 1, 1, 1, 1, 0, 0];
const norm = (values: readonly number[]): number => Math.hypot(...values);

test("devices count alike however large their gradients are", () => {
  const other = [0, 1, 2, 0, 1, 4, 0, 1, 1, 1];
  const mean = meanScores(
    [
      scored("a", ONES),
      scored(
        "b",
        other.map((x) => 1000 * x),
      ),
    ],
    UNITS,
  );
  expectClose(
    valuesOf(mean),
    ONES.map((value, i) => (value / norm(ONES) + (other[i] ?? 0) / norm(other)) / 2),
  );
});

test("a unit's mean is over its owners, and what the others say of it does not count", () => {
  const without: Structure = {
    layers: [
      { heads: [1], ffn: [0, 2] },
      { heads: [0, 1], ffn: [0, 1, 2] },
    ],
  };
  const other = [9, 1, 2, 9, 1, 4, 0, 1, 1, 1];
  const own = other.map((value) => (value === 9 ? 0 : value));
  const mean = valuesOf(meanScores([scored("a", ONES), scored("b", other, without)], UNITS));
  const expected = ONES.map((value, i) => {
    const mine = value / norm(ONES);
    return other[i] === 9 ? mine : (mine + (own[i] ?? 0) / norm(own)) / 2;
  });
  expectClose(mean, expected);
});

test("a unit that no participant has keeps its score, and starts from zero", () => {
  const small: Structure = {
    layers: [
      { heads: [0], ffn: [0] },
      { heads: [0], ffn: [0] },
    ],
  };
  const device = scored("a", ONES, small);
  const before = scored("x", [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]).scores;
  const mean = valuesOf(meanScores([device], UNITS, before));
  assert.deepEqual([mean[1], mean[3], mean[6], mean[9]], [6, 8, 11, 14]);
  assert.deepEqual(valuesOf(meanScores([device], UNITS)).filter((value) => value > 0).length, 4);
});

test("a device whose scores are all zero says nothing", () => {
  const silent = scored(
    "b",
    ONES.map(() => 0),
  );
  assert.deepEqual(
    meanScores([scored("a", ONES), silent], UNITS),
    meanScores([scored("a", ONES)], UNITS),
  );
});

test("the order of the devices does not matter", () => {
  const devices = [0.1, 0.7, 3.3].map((x, i) =>
    scored(
      `d${i}`,
      ONES.map((value) => value + x),
    ),
  );
  assert.deepEqual(meanScores([...devices].reverse(), UNITS), meanScores(devices, UNITS));
});
