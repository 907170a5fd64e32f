/** What every aggregator promises; an aggregator's own test calls this first and adds what is special to it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RoundError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import type { Aggregator } from "../../src/strategies/aggregation/aggregator.ts";
import {
  HEAD,
  LAYERS,
  denseProduct,
  moduleNamed,
  randomUpdate,
  relativeDistance,
} from "./adapters.ts";
import { must } from "./must.ts";

/** float32 factors of a product of a few terms. */
const CLOSE = 1e-5;
const RANK = 3;
const OPTIONS = { rank: RANK, scale: 2 };

export function aggregatorSuite(aggregator: Aggregator): void {
  const { name } = aggregator;

  test(`${name} gives the same bits for any order of the updates`, () => {
    const rng = Rng.fromSeed(`${name}/order`);
    const updates = ["c", "a", "e", "b", "d"].map((id) => randomUpdate(rng, id, RANK));
    const expected = aggregator.aggregate(updates, OPTIONS);
    for (let trial = 0; trial < 5; trial++) {
      assert.deepEqual(aggregator.aggregate(rng.shuffle([...updates]), OPTIONS), expected);
    }
  });

  test(`${name} gives equal updates back whatever their weights, so the weights sum to one`, () => {
    const rng = Rng.fromSeed(`${name}/weights`);
    const update = randomUpdate(rng, "a", RANK);
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
    const update = randomUpdate(Rng.fromSeed(`${name}/one`), "a", RANK);
    const { state, discardedEnergy } = aggregator.aggregate([update], OPTIONS);
    expectSameProducts(state, update);
    assert.deepEqual(state.heads, update.heads);
    assert.ok(discardedEnergy < 1e-12, `discarded ${discardedEnergy}`);
  });

  test(`${name} weighs the head by samples`, () => {
    const rng = Rng.fromSeed(`${name}/head`);
    const updates = [
      { ...randomUpdate(rng, "a", RANK), numSamples: 30 },
      { ...randomUpdate(rng, "b", RANK), numSamples: 10 },
    ];
    const { state } = aggregator.aggregate(updates, OPTIONS);
    const [x, y] = updates.map(({ heads }) => heads.get(HEAD.name)?.data.at(4) as number) as [
      number,
      number,
    ];
    assert.equal(state.heads.get(HEAD.name)?.data[4], Math.fround(0.75 * x + 0.25 * y));
  });

  const spoil: Record<
    string,
    (update: ReturnType<typeof randomUpdate>) => ReturnType<typeof randomUpdate>
  > = {
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
    "a missing layer": (update) => ({ ...update, modules: update.modules.slice(1) }),
    "a missing head": (update) => ({ ...update, heads: new Map() }),
    "a zero weight": (update) => ({ ...update, numSamples: 0 }),
    "a fractional weight": (update) => ({ ...update, numSamples: 1.5 }),
  };
  for (const [what, damage] of Object.entries(spoil)) {
    test(`${name} refuses an update with ${what}`, () => {
      const rng = Rng.fromSeed(`${name}/spoil`);
      const good = randomUpdate(rng, "a", RANK);
      const bad = damage(randomUpdate(rng, "b", RANK));
      assert.throws(() => aggregator.aggregate([good, bad], OPTIONS), RoundError);
    });
  }

  test(`${name} refuses two updates of one device, and none at all`, () => {
    const rng = Rng.fromSeed(`${name}/twice`);
    const twice = [randomUpdate(rng, "a", RANK), randomUpdate(rng, "a", RANK)];
    assert.throws(() => aggregator.aggregate(twice, OPTIONS), /two updates of a/);
    assert.throws(() => aggregator.aggregate([], OPTIONS), /no update/);
  });
}

function expectSameProducts(
  got: Parameters<typeof moduleNamed>[0],
  want: Parameters<typeof moduleNamed>[0],
): void {
  for (const { name } of LAYERS) {
    const distance = relativeDistance(
      denseProduct(moduleNamed(got, name)),
      denseProduct(moduleNamed(want, name)),
    );
    assert.ok(distance < CLOSE, `${name} differs by ${distance}`);
  }
}
