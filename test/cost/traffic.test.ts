/** Counted bytes of an adapter against the file that is really written. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostArray, type HostArray, type NamedArrays } from "../../src/base/arrays.ts";
import type { LoraModule } from "../../src/base/adapter.ts";
import type { ModelShape } from "../../src/base/model-shape.ts";
import { encodeStructure } from "../../src/base/structure.ts";
import { adaptedLinears, adapterParameters, keptSize } from "../../src/cost/parameters.ts";
import { adapterFileBytes, type TrafficSetup } from "../../src/cost/traffic.ts";
import { encodeAdapterFile } from "../../src/io/adapter-file.ts";
import { decoderShape, encoderShape, firstUnits } from "../support/shapes.ts";

const sizes = {
  ...{ numLayers: 11, width: 12, numHeads: 4, numKvHeads: 2, innerWidth: 20 },
  ...{ vocabSize: 50, maxPositions: 16, numLabels: 3 },
};
const heads: NamedArrays = new Map([
  ["classifier.weight", hostArray([3, 12])],
  ["classifier.bias", hostArray([3])],
]);

/** The adapter file of zeros that the setup describes. */
function writtenBytes(shape: ModelShape, setup: TrafficSetup): number {
  const { structure, targets, rank, trainHead, hasScores } = setup;
  const modules = adaptedLinears(shape, targets).map((linear): LoraModule => {
    const { outputs, inputs } = keptSize(linear, structure);
    const [a, b] = [hostArray([rank, inputs]), hostArray([outputs, rank])];
    return { name: linear.name, a, b, scale: 2 };
  });
  const { layers, heads: H, ffn: F } = shape.units;
  return encodeAdapterFile({
    modules,
    heads: trainHead ? heads : new Map<string, HostArray>(),
    structureText: encodeStructure(structure, shape.units),
    ...(hasScores
      ? {
          scores: new Map([
            ["scores.heads", hostArray([layers, H])],
            ["scores.ffn", hostArray([layers, F])],
          ]),
        }
      : {}),
  }).length;
}

for (const shape of [encoderShape(sizes), decoderShape({ ...sizes, numLabels: 0 })]) {
  const name = shape.isGated ? "decoder" : "encoder";
  test(`an adapter of the ${name} has the counted size`, () => {
    for (const structure of [firstUnits(shape, 2, 20), firstUnits(shape, 1, 3)]) {
      for (const targets of ["all-linear", ["query", "down"]]) {
        for (const rank of [1, 8, 32]) {
          for (const hasScores of [false, true]) {
            const trainHead = !shape.isGated;
            const setup = { structure, targets, rank, trainHead, hasScores };
            const counted = adapterFileBytes(shape, setup);
            assert.ok(Math.abs(counted - writtenBytes(shape, setup)) <= 16, JSON.stringify(setup));
            assert.ok(counted > 4 * adapterParameters(shape, setup));
          }
        }
      }
    }
  });
}
