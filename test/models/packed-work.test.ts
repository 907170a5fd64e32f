/** Work of packed batches, counted: none goes into padding. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape } from "../../src/autograd/tape.ts";
import type { Kernels } from "../../src/backend/kernels.ts";
import { packBatch } from "../../src/data/batch.ts";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { tinyFolder, type TinyName } from "../support/tiny-model.ts";

/** Multiply-adds of products, elements of activations and rows of norms of one forward pass. */
function workOf(name: TinyName, lengths: readonly number[]): Record<string, number> {
  const engine = Engine.create();
  const model = loadModel(engine, tinyFolder(name));
  const { kernels } = engine;
  const done = { products: 0, activations: 0, norms: 0 };
  const counting: Kernels = {
    ...kernels,
    matmulNtF32(...args) {
      const [, , , , M, N, K] = args;
      done.products += M * N * K;
      kernels.matmulNtF32(...args);
    },
    affineF32(...args) {
      const [, , , , , M, N, K] = args;
      done.products += M * N * K;
      kernels.affineF32(...args);
    },
    geluF32(out, inp, n) {
      done.activations += n;
      kernels.geluF32(out, inp, n);
    },
    siluMulF32(out, a, b, n) {
      done.activations += n;
      kernels.siluMulF32(out, a, b, n);
    },
    layerNormF32(...args) {
      done.norms += args[6];
      kernels.layerNormF32(...args);
    },
    rmsNormF32(...args) {
      done.norms += args[4];
      kernels.rmsNormF32(...args);
    },
  };
  Object.defineProperty(engine, "kernels", { value: counting });
  const batch = packBatch(lengths.map((length) => ({ ids: new Array<number>(length).fill(3) })));
  engine.step(() => model.classLogits(new Tape(engine, { recording: false }), batch));
  return done;
}

for (const name of ["bert-classify", "llama-classify"] as const) {
  test(`${name}: a batch of unequal sequences takes the work of each alone, added up`, () => {
    const lengths = [3, 17, 1, 24];
    const together = workOf(name, lengths);
    assert.ok(Object.values(together).every((count) => count > 0));
    for (const [kind, count] of Object.entries(together)) {
      const alone = lengths.map((length) => workOf(name, [length])[kind] ?? 0);
      assert.equal(
        count,
        alone.reduce((sum, each) => sum + each),
        kind,
      );
    }
  });
}
