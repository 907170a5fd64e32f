/** FlexLoRA: the common promises, the same product as the stack, and all singular values in B. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../../src/base/rng.ts";
import { flexLora } from "../../../src/strategies/aggregation/flex-lora.ts";
import { loraStack } from "../../../src/strategies/aggregation/lora-stack.ts";
import { randomAdapter, randomUpdate } from "../../support/adapters.ts";
import { aggregatorSuite, expectSameProducts } from "../../support/aggregator-suite.ts";

aggregatorSuite(flexLora);

test("flex-lora cuts to the same product as lora-stack, and discards the same share", () => {
  const rng = Rng.fromSeed("flex");
  for (const ranks of [[1], [2, 1], [3, 2, 4]]) {
    const updates = ranks.map((rank, i) => randomUpdate(rng, `device-${i}`, rank, 1 + rng.next()));
    const options = { rank: 2, scale: 4, previous: randomAdapter(rng, 2) };
    const [flex, stack] = [flexLora, loraStack].map((rule) => rule.aggregate(updates, options));
    assert.ok(flex !== undefined && stack !== undefined);
    expectSameProducts(flex.state, stack.state);
    assert.ok(Math.abs(flex.discardedEnergy - stack.discardedEnergy) < 1e-12);
  }
});

test("flex-lora gives A orthonormal rows and B the singular values, largest first", () => {
  const rng = Rng.fromSeed("split");
  const updates = ["a", "b"].map((id) => randomUpdate(rng, id, 2));
  const { state } = flexLora.aggregate(updates, { rank: 3, scale: 2 });
  for (const { a, b } of state.modules) {
    const inputs = a.shape[1] ?? 0;
    const lengths: number[] = [];
    for (let r = 0; r < 3; r++) {
      const row = a.data.subarray(r * inputs, (r + 1) * inputs);
      assert.ok(Math.abs(Math.hypot(...row) - 1) < 1e-6);
      const next = a.data.subarray((r + 1) * inputs, (r + 2) * inputs);
      assert.ok(Math.abs(next.reduce((sum, value, i) => sum + value * (row[i] ?? 0), 0)) < 1e-6);
      lengths.push(Math.hypot(...b.data.filter((_, i) => i % 3 === r)));
    }
    assert.deepEqual(
      lengths,
      [...lengths].sort((x, y) => y - x),
    );
    assert.ok((lengths[2] ?? 0) > 0.1);
  }
});
