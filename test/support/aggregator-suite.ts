/** What every aggregator promises; an aggregator's own test calls this first and adds what is special to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { hostArray } from "../../src/base/arrays.ts";
import { RoundError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import type { AdapterUpdate, Aggregator } from "../../src/strategies/aggregation/aggregator.ts";
import { defectOf } from "../../src/strategies/aggregation/update-check.ts";
import {
  HEAD,
  LAYERS,
  denseProduct,
  moduleNamed,
  prune,
  randomAdapter,
  randomIndices,
  randomUpdate,
  relativeDistance,
} from "./adapters.ts";
import { must } from "./must.ts";

/** Results in float32 of sums in double precision, each relative to the largest entry. */
const CLOSE = 1e-6;
const RANK = 3;
const OPTIONS = { rank: RANK, scale: 2 };

/** Updates that the aggregator can merge: of equal ranks, or with prefixes of one A, where it asks for that. */
function fleetFor(aggregator: Aggregator, rng: Rng, ids: readonly string[]): AdapterUpdate[] {
  const shared = randomAdapter(rng, RANK);
  return ids.map((id, i) => {
    const rank = aggregator.needsEqualRanks === true || i === 0 ? RANK : 1 + rng.int(RANK);
    const update = randomUpdate(rng, id, rank);
    if (aggregator.trainsA !== false) return update;
    const modules = update.modules.map((module) => {
      const { shape, data } = moduleNamed(shared, module.name).a;
      const [, inputs = 0] = shape;
      return { ...module, a: hostArray([rank, inputs], data.slice(0, rank * inputs)) };
    });
    return { ...update, modules };
  });
}

/** The same with some rows of the first layer and some columns of the second one gone. */
function pruned(rng: Rng, update: AdapterUpdate): AdapterUpdate {
  const modules = update.modules.map((module, i) => {
    const side = i === 0 ? "rows" : "cols";
    const size = (side === "rows" ? module.b.shape[0] : module.a.shape[1]) ?? 0;
    return prune(module, side, randomIndices(rng, size, 0.6));
  });
  return { ...update, modules };
}

export function aggregatorSuite(aggregator: Aggregator): void {
  const { name } = aggregator;
  const single = (seed: string): AdapterUpdate =>
    must(fleetFor(aggregator, Rng.fromSeed(`${name}/${seed}`), ["a"])[0]);

  test(`${name} gives the same bits for any order of the updates, pruned ones of any rank it takes`, () => {
    const rng = Rng.fromSeed(`${name}/order`);
    const updates = fleetFor(aggregator, rng, ["c", "a", "e", "b", "d"]).map((update) =>
      pruned(rng, update),
    );
    const expected = aggregator.aggregate(updates, OPTIONS);
    for (let trial = 0; trial < 5; trial++) {
      assert.deepEqual(aggregator.aggregate(rng.shuffle([...updates]), OPTIONS), expected);
    }
  });

  test(`${name} gives a sound adapter of whole layers with the wanted scale`, () => {
    const rng = Rng.fromSeed(`${name}/sound`);
    const updates = fleetFor(aggregator, rng, ["a", "b", "c"]).map((update) => pruned(rng, update));
    const { state, discardedEnergy } = aggregator.aggregate(updates, OPTIONS);
    assert.equal(defectOf(state), null);
    for (const { name: layer, numOutputs, numInputs } of LAYERS) {
      const { a, b, scale, rows, cols } = moduleNamed(state, layer);
      assert.deepEqual([b.shape[0], a.shape[1], scale], [numOutputs, numInputs, OPTIONS.scale]);
      assert.deepEqual([rows, cols], [undefined, undefined]);
      if (aggregator.devicesMerge !== true) assert.equal(a.shape[0], RANK);
    }
    assert.ok(discardedEnergy >= 0 && discardedEnergy < 1);
  });

  test(`${name} gives equal updates back whatever their weights, so the weights sum to one`, () => {
    const update = single("weights");
    const copies = ["a", "b", "c"].map((deviceId, i) => ({
      ...update,
      deviceId,
      numSamples: 7 * i + 1,
    }));
    const { state } = aggregator.aggregate(copies, OPTIONS);
    expectSameProducts(state, update);
    const head = state.heads.get(HEAD.name)?.data ?? [];
    update.heads.get(HEAD.name)?.data.forEach((value, i) => {
      assert.ok(Math.abs(value - (head[i] ?? Number.NaN)) <= CLOSE * Math.abs(value));
    });
  });

  test(`${name} of one update is that update`, () => {
    const update = single("one");
    const { state, discardedEnergy } = aggregator.aggregate([update], OPTIONS);
    expectSameProducts(state, update);
    assert.deepEqual(state.heads, update.heads);
    assert.ok(discardedEnergy < 1e-12, `discarded ${discardedEnergy}`);
  });

  test(`${name} of one pruned update is that update, and zero where it has nothing`, () => {
    const update = pruned(Rng.fromSeed("pruned"), single("one pruned"));
    expectSameProducts(aggregator.aggregate([update], OPTIONS).state, update);
  });

  const weighing =
    aggregator.countsDevices === true
      ? "counts devices, not the samples that they claim"
      : "weighs the head by samples";
  test(`${name} ${weighing}`, () => {
    const fleet = fleetFor(aggregator, Rng.fromSeed(`${name}/head`), ["a", "b"]);
    const updates = fleet.map((update, i) => ({ ...update, numSamples: [30, 10][i] as number }));
    const { state } = aggregator.aggregate(updates, OPTIONS);
    const [x = 0, y = 0] = updates.map(({ heads }) => heads.get(HEAD.name)?.data.at(4));
    const share = aggregator.countsDevices === true ? 0.5 : 0.75;
    const expected = Math.fround(share * x + (1 - share) * y);
    const got = state.heads.get(HEAD.name)?.data[4] ?? Number.NaN;
    if (aggregator.countsDevices === true) assert.ok(Math.abs(got - expected) < CLOSE);
    else assert.equal(got, expected);
  });

  const spoil: Record<string, (update: AdapterUpdate) => AdapterUpdate> = {
    "a NaN in a factor": (update) => {
      update.modules[0]?.b.data.fill(Number.NaN, 2, 3);
      return update;
    },
    "an infinite head": (update) => {
      update.heads.get(HEAD.name)?.data.fill(Number.POSITIVE_INFINITY, 0, 1);
      return update;
    },
    "a factor of another layer size": (update) => {
      const [first, ...rest] = update.modules;
      const other = randomUpdate(Rng.fromSeed(1), "x", RANK).modules[1];
      return { ...update, modules: [{ ...must(first), a: must(other).a }, ...rest] };
    },
    "factors that do not fit together": (update) => {
      const [first, ...rest] = update.modules;
      return { ...update, modules: [{ ...must(first), b: hostArray([6, RANK + 1]) }, ...rest] };
    },
    "indices of rows beyond the layer": (update) => {
      const [first, ...rest] = update.modules;
      const rows = { indices: [0, 1, 2, 3, 4, 6], of: 6 };
      return { ...update, modules: [{ ...must(first), rows }, ...rest] };
    },
    "a layer of another width": (update) => {
      const [first, ...rest] = update.modules;
      const rows = { indices: [0, 1, 2, 3, 4, 5], of: 7 };
      return { ...update, modules: [{ ...must(first), rows }, ...rest] };
    },
    "a missing layer": (update) => ({ ...update, modules: update.modules.slice(1) }),
    "a missing head": (update) => ({ ...update, heads: new Map() }),
    "a zero weight": (update) => ({ ...update, numSamples: 0 }),
    "a fractional weight": (update) => ({ ...update, numSamples: 1.5 }),
  };
  for (const [what, damage] of Object.entries(spoil)) {
    test(`${name} refuses an update with ${what}`, () => {
      const rng = Rng.fromSeed(`${name}/spoil`);
      const [good, bad] = fleetFor(aggregator, rng, ["a", "b"]);
      aggregator.aggregate([must(good), must(bad)], OPTIONS);
      const updates = [must(good), damage(must(bad))];
      assert.throws(() => aggregator.aggregate(updates, OPTIONS), RoundError);
    });
  }

  test(`${name} refuses two updates of one device, and none at all`, () => {
    const twice = fleetFor(aggregator, Rng.fromSeed(`${name}/twice`), ["a", "a"]);
    assert.throws(() => aggregator.aggregate(twice, OPTIONS), /two updates of a/);
    assert.throws(() => aggregator.aggregate([], OPTIONS), /no update/);
  });

  test(`${name} refuses to start from an adapter of another model`, () => {
    const previous = randomAdapter(Rng.fromSeed("other"), RANK, 2, LAYERS.slice(1));
    assert.throws(
      () => aggregator.aggregate([single("start")], { ...OPTIONS, previous }),
      /previous adapter does not fit/,
    );
  });
}

/** Compares what two adapters add to their layers, in the coordinates of the unpruned ones. */
export function expectSameProducts(got: AdapterState, want: AdapterState, tolerance = CLOSE): void {
  for (const { name } of want.modules) {
    const distance = relativeDistance(
      denseProduct(moduleNamed(got, name)),
      denseProduct(moduleNamed(want, name)),
    );
    assert.ok(distance < tolerance, `${name} differs by ${distance}`);
  }
}
