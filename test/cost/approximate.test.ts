/** Representative structures, and costs that only ever grow with what is asked for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ModelShape } from "../../src/base/model-shape.ts";
import { checkStructure, fullStructure, isFull, isSubset } from "../../src/base/structure.ts";
import { costOf, uniformStructure, type Cost, type CostQuery } from "../../src/cost/approximate.ts";
import { bodyParameters, bodySparsity, unitParameters } from "../../src/cost/parameters.ts";
import { decoderShape, encoderShape } from "../support/shapes.ts";

const anyShape = fc
  .record({
    numLayers: fc.integer({ min: 1, max: 4 }),
    groups: fc.integer({ min: 1, max: 6 }),
    queries: fc.integer({ min: 1, max: 3 }),
    halfHead: fc.integer({ min: 1, max: 8 }),
    innerWidth: fc.integer({ min: 8, max: 200 }),
    isDecoder: fc.boolean(),
    numLabels: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ groups, queries, halfHead, isDecoder, ...rest }): ModelShape => {
    const numHeads = groups * (isDecoder ? queries : 1);
    const sizes = {
      ...rest,
      ...{ numHeads, numKvHeads: groups, width: numHeads * 2 * halfHead },
      ...{ vocabSize: 100, maxPositions: 64 },
    };
    return isDecoder ? decoderShape(sizes) : encoderShape(sizes);
  });
const anySparsity = fc.double({ min: 0, max: 0.99, noNaN: true });

test("a uniform structure has the wanted sparsity within half a head, where the floor lets it", () => {
  fc.assert(
    fc.property(anyShape, anySparsity, (shape, sparsity) => {
      const structure = uniformStructure(shape, sparsity);
      checkStructure(structure, shape.units, "uniform");
      const all = bodyParameters(shape, fullStructure(shape.units));
      const least = bodySparsity(shape, uniformStructure(shape, 1));
      const grain = (unitParameters(shape, "heads") + 2 * unitParameters(shape, "ffn")) / all;
      const error = Math.abs(bodySparsity(shape, structure) - Math.min(sparsity, least));
      assert.ok(error <= grain / 2 + 1e-9, `${error} of ${grain}`);
    }),
  );
});

test("a sparser uniform structure keeps a subset", () => {
  fc.assert(
    fc.property(anyShape, anySparsity, anySparsity, (shape, one, other) => {
      const [low, high] = [Math.min(one, other), Math.max(one, other)];
      assert.ok(isSubset(uniformStructure(shape, high), uniformStructure(shape, low)));
    }),
  );
});

test("no sparsity is the whole model", () => {
  fc.assert(fc.property(anyShape, (shape) => isFull(uniformStructure(shape, 0), shape.units)));
});

test("a full sparsity leaves one head and one channel a layer", () => {
  const shape = decoderShape({
    ...{ numLayers: 3, width: 16, numHeads: 4, numKvHeads: 2, innerWidth: 9 },
    ...{ vocabSize: 10, maxPositions: 8, numLabels: 0 },
  });
  const layer = { heads: [0], ffn: [0] };
  assert.deepEqual(uniformStructure(shape, 0.999), { layers: [layer, layer, layer] });
});

const query: CostQuery = {
  ...{ structure: { sparsity: 0.3 }, rank: 4, targets: ["query", "value", "down"] },
  ...{ batchSize: 3, numTokens: 12, trainHead: false, dropout: 0 },
  ...{ scoresUnits: false, sendsMeanScores: false },
};

/** What each change makes larger, and what it must not make smaller. */
const growths: Readonly<Record<string, { to: Partial<CostQuery>; strictly: (keyof Cost)[] }>> = {
  "a lower sparsity": { to: { structure: { sparsity: 0.1 } }, strictly: [] },
  "a higher rank": {
    to: { rank: 5 },
    strictly: ["gflopsPerStep", "bytesUp", "bytesDown", "memoryBytes"],
  },
  "more targets": {
    to: { targets: "all-linear" },
    strictly: ["gflopsPerStep", "bytesUp", "bytesDown", "memoryBytes"],
  },
  "a larger batch": { to: { batchSize: 4 }, strictly: ["gflopsPerStep", "memoryBytes"] },
  "longer texts": { to: { numTokens: 13 }, strictly: ["gflopsPerStep", "memoryBytes"] },
  "a trained head": { to: { trainHead: true }, strictly: [] },
  dropout: { to: { dropout: 0.1 }, strictly: ["memoryBytes"] },
  "scores of units": { to: { scoresUnits: true }, strictly: ["bytesUp"] },
  "the fleet's scores": { to: { sendsMeanScores: true }, strictly: ["bytesDown"] },
};

for (const [what, { to, strictly }] of Object.entries(growths)) {
  test(`${what} costs more where it matters, and nowhere less`, () => {
    fc.assert(
      fc.property(anyShape, (shape) => {
        const [before, after] = [costOf(shape, query), costOf(shape, { ...query, ...to })];
        for (const key of ["gflopsPerStep", "bytesUp", "bytesDown", "memoryBytes"] as const) {
          const [from, upTo] = [before[key], after[key]];
          const isSound = strictly.includes(key) ? upTo > from : upTo >= from;
          assert.ok(isSound, `${key}: ${from} to ${upTo}`);
        }
      }),
    );
  });
}
