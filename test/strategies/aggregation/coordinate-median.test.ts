/** The coordinate median: the promises of every rule and of every robust one, and the median itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import { coordinateMedian } from "../../../src/strategies/aggregation/coordinate-median.ts";
import { median } from "../../../src/strategies/screening/median.ts";
import {
  denseProduct,
  LAYERS,
  moduleNamed,
  randomUpdate,
  relativeDistance,
} from "../../support/adapters.ts";
import { robustSuite } from "../../support/robust-suite.ts";

robustSuite(coordinateMedian);

test("every entry of the products is the median of its devices, an even number's the mean of the middle two", () => {
  for (const count of [5, 4]) {
    const updates = Array.from({ length: count }, (_, i) =>
      randomUpdate(Rng.fromSeed(i), `device-${i}`, 2),
    );
    // Room for every direction, so that nothing is cut off.
    const { state } = coordinateMedian.aggregate(updates, { rank: 9, scale: 2 });
    for (const { name } of LAYERS) {
      const products = updates.map((update) => denseProduct(moduleNamed(update, name)));
      const expected = (products[0] ?? []).map((row, o) =>
        row.map((_, i) => median(products.map((product) => product[o]?.[i] ?? Number.NaN))),
      );
      const distance = relativeDistance(denseProduct(moduleNamed(state, name)), expected);
      assert.ok(distance < 1e-5, `${name} differs by ${distance}`);
    }
  }
});
