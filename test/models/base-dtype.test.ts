/** A base held in f16, int8 or int4: which parameters are, what they take, and how near its logits stay. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { baseDtypes, bytesOf, type BaseDtype } from "../../src/base/base-dtype.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { loadModel, type LoadModelOptions } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { saveModel } from "../../src/models/save.ts";
import { generate } from "../../src/models/generate.ts";
import { sliceModel } from "../../src/pruning/slice.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { numbersOf } from "../../src/tensor/storage/storages.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../src/train/fine-tune.ts";
import { lastLogits } from "../support/logits.ts";
import { must } from "../support/must.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import { unevenStructure } from "../support/structures.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel, tinyFolder, tinyReference, tinySequences } from "../support/tiny-model.ts";

const fewBits = baseDtypes.filter((dtype) => dtype !== "f32");
const open = (folder: string, baseDtype: BaseDtype, options: LoadModelOptions = {}): Model =>
  loadModel(Engine.create(), folder, { ...options, baseDtype });

/** Largest difference of logits beside the largest logit, for any of the sequences. */
function logitError(got: readonly Float32Array[], want: readonly Float32Array[]): number {
  let [error, size] = [0, 0];
  got.forEach((logits, i) =>
    logits.forEach((x, k) => {
      const expected = must(want[i])[k] ?? NaN;
      error = Math.max(error, Math.abs(x - expected));
      size = Math.max(size, Math.abs(expected));
    }),
  );
  return error / size;
}

test("matrices take the bytes of their format; vectors and the head stay f32", () => {
  for (const dtype of baseDtypes) {
    const model = open(tinyFolder("bert-classify"), dtype);
    let bytes = 0;
    for (const { name, tensor } of model.store.all()) {
      const isHead = /classifier|pooler/.test(name);
      const isMatrix = tensor.shape.length === 2;
      assert.equal(tensor.dtype, isMatrix && !isHead ? dtype : "f32", name);
      const { rows, cols } = tensor;
      const size = isMatrix ? bytesOf(isHead ? "f32" : dtype, rows, cols) : 4 * tensor.size;
      bytes += 64 * Math.ceil(size / 64);
    }
    assert.equal(model.engine.stats.weights, bytes);
  }
});

const published: Record<string, { folder: string; sequences: () => { ids: number[] }[] }> = {
  "bert-tiny-sst2-encoder/fixture-vocab48": {
    folder: join(sharedData, "bert-tiny-sst2-encoder", "fixture-vocab48"),
    sequences: () => randomSequences(48),
  },
  "llama-stories260K": {
    folder: join(sharedData, "llama-stories260K"),
    sequences: () => randomSequences(512),
  },
};

function randomSequences(vocabulary: number): { ids: number[] }[] {
  const rng = Rng.fromSeed(5);
  return [12, 5, 17].map((length) => ({
    ids: Array.from({ length }, () => rng.int(vocabulary)),
  }));
}

/** Measured on the published checkpoints, and a third on top. */
const allowedLogitError: Record<Exclude<BaseDtype, "f32">, number> = {
  f16: 0.0006,
  int8: 0.03,
  int4: 0.55,
};

for (const [name, { folder, sequences }] of Object.entries(published)) {
  test(`${name}: logits with a base in few bits are near those in f32`, {
    skip: missing(`${name}/config.json`),
  }, () => {
    const want = lastLogits(open(folder, "f32"), sequences());
    for (const dtype of fewBits) {
      const error = logitError(lastLogits(open(folder, dtype), sequences()), want);
      assert.ok(error <= allowedLogitError[dtype], `${dtype}: ${error}`);
    }
  });
}

test("a base loaded pruned is the base sliced: to the bit where a number keeps its scale", () => {
  for (const dtype of ["f16", "int8"] as const) {
    const whole = open(tinyFolder("llama-tied"), dtype);
    const structure = unevenStructure(whole.shape.units);
    sliceModel(whole, structure);
    const loaded = open(tinyFolder("llama-tied"), "f32", { structure });
    for (const { name, tensor } of whole.store.all()) {
      const want = must(loaded.store.get(name)).tensor;
      assert.deepEqual(tensor.shape, want.shape, name);
      const numbers = numbersOf(whole.engine, tensor);
      const step = Math.max(...want.toHost().map(Math.abs)) / (dtype === "int8" ? 60 : 1000);
      want.toHost().forEach((x, i) => assert.ok(Math.abs(x - (numbers[i] ?? NaN)) <= step, name));
    }
  }
});

test("checkpoints in f16 load to the same base as those in f32 that hold the same numbers", (t) => {
  const folder = copyTinyModel("bert-classify", join(temporaryFolder(t), "half"), { dtype: "F16" });
  const half = open(folder, "f16");
  const full = open(folder, "f32");
  for (const { name, tensor } of full.store.all()) {
    const held = must(half.store.get(name)).tensor;
    assert.deepEqual(numbersOf(half.engine, held), tensor.toHost(), name);
  }
});

test("an adapter learns on a base in few bits as on one in f32, and leaves it as it was", () => {
  const sequences = tinySequences(tinyReference("bert-classify"));
  const train = (baseDtype: BaseDtype): number => {
    const model = open(tinyFolder("bert-classify"), baseDtype);
    const before = lastLogits(model, sequences);
    const lora = { rank: 2, alpha: 4, targets: ["query", "value"], dropout: 0 };
    const adapted = AdaptedModel.attach(model, { lora, trainHead: false, seed: 1 });
    assert.deepEqual(lastLogits(model, sequences), before, baseDtype);
    const settings = { ...FINE_TUNE_DEFAULTS, steps: 12, batchSize: sequences.length };
    const tuner = new FineTuner(model, adapted.parameters(), sequences, settings);
    const losses = Array.from({ length: 12 }, () => tuner.step().loss);
    if (baseDtype !== "f32") assert.throws(() => adapted.lora.merge(), /load the base in f32/);
    adapted.detach();
    assert.deepEqual(lastLogits(model, sequences), before, baseDtype);
    return must(losses[0]) - must(losses[11]);
  };
  const want = train("f32");
  assert.ok(want > 0);
  for (const baseDtype of fewBits) {
    const learnt = train(baseDtype);
    assert.ok(Math.abs(learnt / want - 1) < 0.25, `${baseDtype}: ${learnt} of ${want}`);
  }
});

test("generation reads one row at a time from a base in few bits", () => {
  for (const baseDtype of fewBits) {
    const model = open(tinyFolder("llama-tied"), baseDtype);
    const ids = [1, 7, 3];
    const next = [...generate(model, ids, { maxTokens: 1, temperature: 0, stopIds: [] })];
    const logits = must(lastLogits(model, [{ ids }])[0]);
    assert.equal(logits[must(next[0])], Math.max(...logits), baseDtype);
  }
});

test("a model that is held in few bits is not saved", (t) => {
  const model = open(tinyFolder("bert-classify"), "int8");
  const folder = join(temporaryFolder(t), "saved");
  assert.throws(
    () => saveModel(model, folder, { dtype: "F32" }),
    (error) => error instanceof CheckpointError && /held in int8.*expected f32/.test(error.message),
  );
});
