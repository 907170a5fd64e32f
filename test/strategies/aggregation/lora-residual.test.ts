/** The completed aggregation against the dense mean of completed updates, over random ranks, weights and pruned structures. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { AdapterState } from "../../../src/base/adapter.ts";
import { Rng } from "../../../src/base/rng.ts";
import type { AdapterUpdate } from "../../../src/strategies/aggregation/aggregator.ts";
import { loraResidual } from "../../../src/strategies/aggregation/lora-residual.ts";
import { narrow } from "../../../src/strategies/aggregation/narrow.ts";
import {
  LAYERS,
  denseProduct,
  moduleNamed,
  prune,
  randomAdapter,
  randomIndices,
  randomUpdate,
  relativeDistance,
} from "../../support/adapters.ts";
import { aggregatorSuite } from "../../support/aggregator-suite.ts";

aggregatorSuite(loraResidual);

const SERVER_RANK = 5;
const FULL_RANK = 9;

/** Every entry by the definition: owners' products, each with what the device was not sent; nobody's entries as they were. */
function completedMean(
  updates: readonly AdapterUpdate[],
  name: string,
  previous: AdapterState,
): number[][] {
  const before = denseProduct(moduleNamed(previous, name));
  const terms = updates.map((update) => {
    const module = moduleNamed(update, name);
    const sent = narrow(previous, { rank: module.a.shape[0] ?? 0 });
    const product = denseProduct(module);
    return { module, product, sent: denseProduct(moduleNamed(sent, name)), of: update.numSamples };
  });
  return before.map((row, o) =>
    row.map((old, i) => {
      const owners = terms.filter(
        ({ module }) =>
          module.rows?.indices.includes(o) !== false && module.cols?.indices.includes(i) !== false,
      );
      const total = owners.reduce((sum, { of }) => sum + of, 0);
      if (total === 0) return old;
      return owners.reduce((sum, { product, sent, of }) => {
        const completed = Number(product[o]?.[i]) + old - Number(sent[o]?.[i]);
        return sum + (of / total) * completed;
      }, 0);
    }),
  );
}

test("without truncation the result is the dense mean of updates completed with what they were not sent", () => {
  const scenario = fc.record({
    seed: fc.integer(),
    numDevices: fc.integer({ min: 1, max: 6 }),
    keep: fc.double({ min: 0.2, max: 1, noNaN: true }),
    side: fc.constantFrom("rows" as const, "cols" as const),
  });
  fc.assert(
    fc.property(scenario, ({ seed, numDevices, keep, side }) => {
      const rng = Rng.fromSeed(seed);
      const previous = randomAdapter(rng, SERVER_RANK);
      const updates = Array.from({ length: numDevices }, (_, i) => {
        const update = randomUpdate(rng, `device-${i}`, 1 + rng.int(SERVER_RANK));
        const modules = update.modules.map((module) => {
          const size = (side === "rows" ? module.b.shape[0] : module.a.shape[1]) ?? 0;
          return prune(module, side, randomIndices(rng, size, keep));
        });
        return { ...update, modules };
      });
      const { state } = loraResidual.aggregate(updates, { rank: FULL_RANK, scale: 0.5, previous });
      for (const { name } of LAYERS) {
        const got = denseProduct(moduleNamed(state, name));
        const distance = relativeDistance(got, completedMean(updates, name, previous));
        assert.ok(distance < 2e-6, `${name} differs by ${distance}`);
      }
    }),
    { numRuns: 150 },
  );
});

test("devices of low rank that learn nothing leave the adapter as it was", () => {
  const rng = Rng.fromSeed("idle");
  const previous = randomAdapter(rng, SERVER_RANK);
  const updates = [1, 2, 4].map((rank, i) => ({
    ...narrow(previous, { rank }),
    deviceId: `device-${i}`,
    numSamples: 1 + i,
  }));
  const { state } = loraResidual.aggregate(updates, { rank: SERVER_RANK, scale: 2, previous });
  for (const { name } of LAYERS) {
    const got = denseProduct(moduleNamed(state, name));
    assert.ok(relativeDistance(got, denseProduct(moduleNamed(previous, name))) < 2e-6);
  }
});
