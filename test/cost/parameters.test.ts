/** Counts of parameters against numbers worked out by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fullStructure } from "../../src/base/structure.ts";
import {
  adapterParameters,
  bodyParameters,
  bodySparsity,
  unitParameters,
  wholeParameters,
  wholeSparsity,
} from "../../src/cost/parameters.ts";
import { decoderShape, encoderShape, firstUnits } from "../support/shapes.ts";

const sizes = {
  ...{ numLayers: 2, width: 12, numHeads: 4, numKvHeads: 2, innerWidth: 20 },
  ...{ vocabSize: 50, maxPositions: 16, numLabels: 3 },
};
const encoder = encoderShape(sizes);
const decoder = decoderShape(sizes);
const encoderLayer = 4 * (12 * 12 + 12) + (20 * 12 + 20) + (12 * 20 + 12);
const decoderLayer = 2 * 12 * 12 + 2 * 6 * 12 + 3 * 12 * 20;

test("a body is the weights and biases of its blocks' linear layers", () => {
  assert.equal(bodyParameters(encoder, fullStructure(encoder.units)), 2 * encoderLayer);
  assert.equal(bodyParameters(decoder, fullStructure(decoder.units)), 2 * decoderLayer);
});

test("a whole model adds embeddings, norms and head", () => {
  assert.equal(
    wholeParameters(encoder, fullStructure(encoder.units)),
    2 * encoderLayer + 12 * (50 + 16 + 1) + 2 * 12 * 5 + 3 * 13,
  );
});

test("a head takes its rows of query, key and value and its columns of the output", () => {
  assert.equal(unitParameters(encoder, "heads"), 3 * 3 * (12 + 1) + 3 * 12);
  // A unit of grouped queries is a key-value head with its two query heads.
  assert.equal(unitParameters(decoder, "heads"), 6 * 12 + 3 * 12 + 3 * 12 + 6 * 12);
});

test("a channel takes its rows of up and gate and its column of down", () => {
  assert.equal(unitParameters(encoder, "ffn"), 13 + 12);
  assert.equal(unitParameters(decoder, "ffn"), 3 * 12);
});

test("what a structure lacks is so many units of each kind", () => {
  for (const shape of [encoder, decoder]) {
    const pruned = firstUnits(shape, 1, 7);
    const lost =
      (shape.units.heads - 1) * unitParameters(shape, "heads") + 13 * unitParameters(shape, "ffn");
    const all = bodyParameters(shape, fullStructure(shape.units));
    assert.equal(bodyParameters(shape, pruned), all - 2 * lost);
    assert.equal(bodySparsity(shape, pruned), 1 - (all - 2 * lost) / all);
  }
});

test("the whole model is sparser by less than its body", () => {
  const pruned = firstUnits(encoder, 2, 10);
  assert.ok(wholeSparsity(encoder, pruned) < bodySparsity(encoder, pruned));
  assert.equal(bodySparsity(encoder, fullStructure(encoder.units)), 0);
});

test("an adapter's factors shrink on the pruned side alone", () => {
  const targets = ["query", "down"];
  const setup = { structure: firstUnits(encoder, 1, 5), targets, rank: 4 };
  assert.equal(adapterParameters(encoder, setup), 2 * 4 * (12 + 3 + (5 + 12)));
});
