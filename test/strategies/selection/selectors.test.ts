/** Selection: who trains, and that the draw depends on the seed alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../../src/base/rng.ts";
import { selectors } from "../../../src/strategies/selection/index.ts";

const ids = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { maxLength: 20 });

for (const selector of Object.values(selectors)) {
  test(`${selector.name} gives known devices once each, the same ones for any order of the list`, () => {
    fc.assert(
      fc.property(ids, fc.nat(20), fc.integer(), (deviceIds, count, seed) => {
        const chosen = selector.select(deviceIds, count, Rng.fromSeed(seed));
        assert.equal(new Set(chosen).size, chosen.length);
        assert.ok(chosen.every((id) => deviceIds.includes(id)));
        assert.deepEqual(
          selector.select([...deviceIds].reverse(), count, Rng.fromSeed(seed)),
          chosen,
        );
      }),
    );
  });
}

test("all takes every device", () => {
  assert.deepEqual(selectors["all"]?.select(["b", "a", "c"], 1, Rng.fromSeed(0)), ["a", "b", "c"]);
});

test("random draws the wanted number, and in time every device", () => {
  const rng = Rng.fromSeed("draw");
  const seen = new Set<string>();
  for (let round = 0; round < 50; round++) {
    const chosen = selectors["random"]?.select(["a", "b", "c", "d"], 2, rng) ?? [];
    assert.equal(chosen.length, 2);
    chosen.forEach((id) => seen.add(id));
  }
  assert.equal(seen.size, 4);
});
