/** The ranking of units: what it must never do, how close it comes, and that nothing but scores and ids decides. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ModelShape } from "../../src/base/model-shape.ts";
import { Rng } from "../../src/base/rng.ts";
import {
  checkStructure,
  fullStructure,
  isSameStructure,
  isSubset,
  unitKinds,
  type Structure,
} from "../../src/base/structure.ts";
import { bodyParameters, bodySparsity, unitParameters } from "../../src/cost/parameters.ts";
import { blendScores, pruneTo } from "../../src/pruning/ranking.ts";
import { scoreAt, scoresOf, type UnitScores } from "../../src/pruning/unit-scores.ts";
import { must } from "../support/must.ts";
import { decoderShape, encoderShape } from "../support/shapes.ts";

interface Case {
  readonly shape: ModelShape;
  readonly scores: UnitScores;
  readonly sparsity: number;
  readonly minFfnShare: number;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    numLayers: fc.integer({ min: 1, max: 4 }),
    numHeads: fc.constantFrom(1, 2, 4),
    headSize: fc.constantFrom(2, 4, 8),
    innerWidth: fc.integer({ min: 1, max: 40 }),
    isGated: fc.boolean(),
    sparsity: fc.double({ min: 0, max: 0.99, noNaN: true }),
    minFfnShare: fc.constantFrom(0, 0.1, 0.5, 1),
    seed: fc.nat(1000),
    /** Few different scores make ties. */
    levels: fc.constantFrom(2, 1e9),
  })
  .map(({ numLayers, numHeads, headSize, innerWidth, isGated, seed, levels, ...rest }) => {
    const sizes = {
      ...{ numLayers, numHeads, innerWidth, width: numHeads * headSize },
      ...{ numKvHeads: Math.max(1, numHeads / 2), vocabSize: 10, maxPositions: 10, numLabels: 2 },
    };
    const shape = isGated ? decoderShape(sizes) : encoderShape(sizes);
    return { shape, scores: randomScores(shape, seed, levels), ...rest };
  });

function randomScores(shape: ModelShape, seed: number, levels = 1e9): UnitScores {
  const rng = Rng.fromSeed(seed);
  return scoresOf(
    shape.units,
    (_, kind) => unitParameters(shape, kind) * (1 + Math.floor(levels * rng.next())),
  );
}

function prune(drawn: Case, changes: Partial<Parameters<typeof pruneTo>[0]> = {}): Structure {
  return pruneTo({ ...drawn, structure: fullStructure(drawn.shape.units), ...changes });
}

/** Parameters that should still go; negative when too many went. */
function excess({ shape, sparsity }: Case, structure: Structure): number {
  const whole = bodyParameters(shape, fullStructure(shape.units));
  return bodyParameters(shape, structure) - (1 - sparsity) * whole;
}

const smallest = (shape: ModelShape): number =>
  Math.min(unitParameters(shape, "heads"), unitParameters(shape, "ffn"));

const channelFloor = ({ shape, minFfnShare }: Case): number =>
  Math.max(1, Math.ceil(minFfnShare * shape.units.ffn));

test("what is left is a sound part of what was there, with the floors of every layer", () => {
  fc.assert(
    fc.property(cases, fc.double({ min: 0, max: 0.99, noNaN: true }), (drawn, first) => {
      const before = prune(drawn, { sparsity: first });
      const after = prune(drawn, { structure: before });
      checkStructure(after, drawn.shape.units, "the result");
      assert.ok(isSubset(after, before));
      after.layers.forEach(({ ffn }) => assert.ok(ffn.length >= channelFloor(drawn)));
    }),
  );
});

test("the target is met within half of the smaller kind of unit, unless floors leave none of those", () => {
  let met = 0;
  fc.assert(
    fc.property(cases, (drawn) => {
      const { shape } = drawn;
      const after = prune(drawn);
      const rest = excess(drawn, after);
      if (Math.abs(rest) <= smallest(shape) / 2 + 1e-6) {
        met++;
        return;
      }
      const kind = unitParameters(shape, "ffn") <= unitParameters(shape, "heads") ? "ffn" : "heads";
      const floors = { heads: 1, ffn: channelFloor(drawn) };
      after.layers.forEach((layer) => assert.equal(layer[kind].length, floors[kind]));
      // No unit of the other kind that is free would bring it closer.
      const other = kind === "ffn" ? "heads" : "ffn";
      const isFree = after.layers.some((layer) => layer[other].length > floors[other]);
      if (isFree) assert.ok(unitParameters(shape, other) >= 2 * rest - 1e-6);
    }),
    { seed: 3 },
  );
  assert.ok(met > 50, `only ${met} cases were not at their floors`);
});

test("a higher target never keeps more, but for one unit of the smaller kind", () => {
  fc.assert(
    fc.property(cases, fc.double({ min: 0, max: 0.99, noNaN: true }), (drawn, other) => {
      const [low, high] = [drawn.sparsity, other].sort((a, b) => a - b) as [number, number];
      const few = bodyParameters(drawn.shape, prune(drawn, { sparsity: low }));
      const many = bodyParameters(drawn.shape, prune(drawn, { sparsity: high }));
      assert.ok(many <= few + smallest(drawn.shape) + 1e-6);
    }),
  );
});

test("a target that is reached removes nothing more, whatever the scores say by then", () => {
  fc.assert(
    fc.property(cases, (drawn) => {
      const structure = prune({ ...drawn, minFfnShare: 0 });
      const scores = randomScores(drawn.shape, 77);
      const again = prune(drawn, { structure, scores, minFfnShare: 0 });
      assert.ok(isSameStructure(again, structure));
      const below = prune(drawn, { structure, sparsity: drawn.sparsity / 2 });
      assert.ok(isSameStructure(below, structure));
    }),
  );
});

test("of one kind nothing is kept that is worth less than what went, where its layer could spare it", () => {
  fc.assert(
    fc.property(cases, (drawn) => {
      const after = prune(drawn);
      const floors = { heads: 1, ffn: channelFloor(drawn) };
      for (const kind of unitKinds) {
        const gone: number[] = [];
        const spare: number[] = [];
        for (let layer = 0; layer < drawn.shape.units.layers; layer++) {
          const left = must(after.layers[layer])[kind];
          for (let id = 0; id < drawn.shape.units[kind]; id++) {
            const score = scoreAt(drawn.scores, layer, kind, id);
            if (!left.includes(id)) gone.push(score);
            else if (left.length > floors[kind]) spare.push(score);
          }
        }
        if (gone.length > 0 && spare.length > 0) {
          assert.ok(Math.max(...gone) <= Math.min(...spare));
        }
      }
    }),
  );
});

test("neither the unit of the scores nor the order of the layers matters", () => {
  fc.assert(
    fc.property(
      cases.filter(({ shape }) => shape.units.layers > 1),
      (drawn) => {
        const { shape } = drawn;
        // Without ties, which the order of layers decides.
        const scores = randomScores(shape, 5);
        const after = prune(drawn, { scores });
        const doubled = scoresOf(shape.units, (...at) => 1024 * scoreAt(scores, ...at));
        assert.ok(isSameStructure(prune(drawn, { scores: doubled }), after));
        const turned = prune(drawn, { scores: [...scores].reverse() });
        assert.ok(isSameStructure({ layers: [...turned.layers].reverse() }, after));
      },
    ),
  );
});

test("equal scores go by layer, kind and id", () => {
  const shape = decoderShape({
    ...{ numLayers: 2, width: 8, numHeads: 2, numKvHeads: 2, innerWidth: 6 },
    ...{ vocabSize: 10, maxPositions: 10, numLabels: 2 },
  });
  const scores = scoresOf(shape.units, (_, kind) => unitParameters(shape, kind));
  // Per layer two heads of 128 and six channels of 24: a head and a channel are 152 of the 800 parameters.
  const after = prune({ shape, scores, minFfnShare: 0, sparsity: 152 / 800 });
  assert.deepEqual(after.layers, [
    { heads: [1], ffn: [1, 2, 3, 4, 5] },
    { heads: [0, 1], ffn: [0, 1, 2, 3, 4, 5] },
  ]);
  assert.ok(Math.abs(bodySparsity(shape, after) - 152 / 800) < 1e-12);
});

const small = decoderShape({
  ...{ numLayers: 1, width: 4, numHeads: 2, numKvHeads: 2, innerWidth: 3 },
  ...{ vocabSize: 10, maxPositions: 10, numLabels: 2 },
});

test("a mixture weighs both sides by their own mean, over the units that both know", () => {
  const structure: Structure = { layers: [{ heads: [0, 1], ffn: [0, 2] }] };
  const own = [{ heads: Float64Array.of(1, 3), ffn: Float64Array.of(2, 50, 0) }];
  const fleet = [{ heads: Float64Array.of(30, 10), ffn: Float64Array.of(20, 7, 5) }];
  const mixed = blendScores(own, fleet, 0.25, { shape: small, structure });
  // Means over heads 0 and 1 and channel 0: 2 and 20. Channel 2 is unknown here, so the fleet's word counts.
  assert.deepEqual([...must(mixed[0]).heads], [0.75 * 0.5 + 0.25 * 1.5, 0.75 * 1.5 + 0.25 * 0.5]);
  assert.deepEqual(must(mixed[0]).ffn[0], 1);
  assert.deepEqual(must(mixed[0]).ffn[2], 0.25);
});

test("at weight 0 and 1 one side alone decides the order", () => {
  const structure = fullStructure(small.units);
  const [own, fleet] = [randomScores(small, 1), randomScores(small, 2)];
  const order = (scores: UnitScores): number[] => {
    const values = [...must(scores[0]).heads, ...must(scores[0]).ffn];
    return values.map((_, i) => i).sort((a, b) => must(values[a]) - must(values[b]));
  };
  const mix = (weight: number): UnitScores =>
    blendScores(own, fleet, weight, { shape: small, structure });
  assert.deepEqual(order(mix(0)), order(own));
  assert.deepEqual(order(mix(1)), order(fleet));
});
