/** FLoRA: the common promises, the exact sum over rounds, and a rank that grows no further than the layer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../../src/base/adapter.ts";
import { Rng } from "../../../src/base/rng.ts";
import { flora } from "../../../src/strategies/aggregation/flora.ts";
import {
  LAYERS,
  denseProduct,
  moduleNamed,
  prune,
  randomIndices,
  randomUpdate,
  relativeDistance,
} from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";
import { denseOwnerMean } from "../../support/dense-mean.ts";

aggregatorSuite(flora);

test("flora adds the owners' mean product to what was, over rounds of any ranks and structures", () => {
  const rng = Rng.fromSeed("flora");
  const sums = new Map<string, number[][]>();
  let previous: AdapterState | undefined;
  for (const ranks of [[1], [1, 1], [2, 3, 1], [1]]) {
    const updates = ranks.map((rank, i) => {
      const update = randomUpdate(rng, `device-${i}`, rank, 0.5 + rng.next());
      const modules = update.modules.map((module) =>
        prune(module, "rows", randomIndices(rng, module.b.shape[0] ?? 0, 0.7)),
      );
      return { ...update, modules };
    });
    const options = { rank: 1, scale: 3, ...(previous === undefined ? {} : { previous }) };
    const { state, discardedEnergy } = flora.aggregate(updates, options);
    assert.equal(discardedEnergy, 0);
    for (const { name } of LAYERS) {
      const mean = denseOwnerMean(updates, name);
      const before = sums.get(name);
      const sum = mean.map((row, o) => row.map((value, i) => value + (before?.[o]?.[i] ?? 0)));
      sums.set(name, sum);
      const distance = relativeDistance(denseProduct(moduleNamed(state, name)), sum);
      assert.ok(distance < 1e-6, `${name} differs by ${distance}`);
    }
    previous = state;
  }
});

test("flora's rank is the sum of the ranks so far, until the product itself takes less", () => {
  const rng = Rng.fromSeed("growth");
  const ranksAfter: number[][] = [];
  let previous: AdapterState | undefined;
  for (let round = 0; round < 3; round++) {
    const updates = ["a", "b"].map((id) => randomUpdate(rng, id, 1));
    const options = { rank: 1, scale: 2, ...(previous === undefined ? {} : { previous }) };
    previous = flora.aggregate(updates, options).state;
    ranksAfter.push(
      LAYERS.map(({ name }) => moduleNamed(previous as AdapterState, name).a.shape[0] ?? 0),
    );
  }
  // The layers are 6 x 5 and 4 x 9.
  assert.deepEqual(ranksAfter, [
    [2, 2],
    [4, 4],
    [5, 4],
  ]);
});
