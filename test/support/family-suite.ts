/** What every model family promises; a family's own test calls this first and adds what is special to it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { Tape } from "../../src/autograd/tape.ts";
import { sizeOf } from "../../src/base/arrays.ts";
import { ShapeError } from "../../src/base/errors.ts";
import { packBatch } from "../../src/data/batch.ts";
import { encodeSafetensors } from "../../src/io/safetensors-writer.ts";
import { loadModel } from "../../src/models/load.ts";
import { saveModel } from "../../src/models/save.ts";
import type { Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { assertAllClose } from "./all-close.ts";
import { bf16File, keepUpperHalves, shard } from "./checkpoint-files.ts";
import { familyRefusals, type FamilyCase } from "./family-refusals.ts";
import { lastLogits } from "./logits.ts";
import { must } from "./must.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import {
  copyTinyModel,
  readTensors,
  tinyFolder,
  tinyReference,
  tinySequences,
  type ModelEdits,
  type TinyName,
} from "./tiny-model.ts";

const MAX_POSITIONS = 24;
/** Half precision keeps 11 bits of a weight. */
const F16_TOLERANCE = 5e-3;

function open(folder: string): Model {
  return loadModel(Engine.create(), folder);
}

function rowLogits(model: Model, name: TinyName): Float32Array[] {
  return lastLogits(model, tinySequences(tinyReference(name)));
}

/** Every captured hidden state of one packed batch. */
function hiddenStates(model: Model, rows: readonly (readonly number[])[]): Float32Array[] {
  return model.engine.step(() => {
    const states: Float32Array[] = [];
    const tape = new Tape(model.engine, { recording: false });
    const batch = packBatch(rows.map((ids) => ({ ids })));
    model.body.forward(tape, batch, (state) => states.push(state.toHost()));
    return states;
  });
}

export function familySuite(family: FamilyCase): void {
  const { name, weight } = family;
  const copy = (context: TestContext, edits?: ModelEdits): string =>
    copyTinyModel(name, temporaryFolder(context), edits);

  familyRefusals(family);

  test(`${name}: packed sequences give the bits that each gives alone`, () => {
    const model = open(tinyFolder(name));
    const drawn = fc.array(
      fc.array(fc.integer({ min: 1, max: 39 }), { minLength: 1, maxLength: MAX_POSITIONS }),
      { minLength: 1, maxLength: 6 },
    );
    const property = fc.property(drawn, (rows) => {
      const states = hiddenStates(model, rows);
      const alone = rows.map((ids) => hiddenStates(model, [ids]));
      states.forEach((state, i) => {
        const parts = alone.flatMap((own) => [...must(own[i])]);
        assert.deepEqual([...state], parts, `hidden state ${i}`);
      });
      const sequences = rows.map((ids) => ({ ids, label: 0 }));
      const together = lastLogits(model, sequences);
      sequences.forEach((sequence, b) => {
        assert.deepEqual(together[b], lastLogits(model, [sequence])[0], `logits of ${b}`);
      });
    });
    fc.assert(property, { seed: 7, numRuns: 12 });
  });

  test(`${name}: an empty sequence is refused`, () => {
    const model = open(tinyFolder(name));
    const sequences = [
      { ids: [1, 2], label: 0 },
      { ids: [], label: 0 },
    ];
    assert.throws(
      () => lastLogits(model, sequences),
      (error) =>
        error instanceof ShapeError && /expected 1 to 24 tokens, got 0/.test(error.message),
    );
  });

  test(`${name}: sequences up to the last position are taken, longer ones refused`, () => {
    const model = open(tinyFolder(name));
    const ids = Array.from({ length: MAX_POSITIONS }, (_, i) => 1 + (i % 30));
    const label = 0;
    const [logits] = lastLogits(model, [{ ids, label }]);
    assert.ok(logits?.every(Number.isFinite));
    assert.throws(
      () => lastLogits(model, [{ ids: [...ids, 1], label }]),
      (error) =>
        error instanceof ShapeError && /expected at most 24 tokens, got 25/.test(error.message),
    );
    assert.throws(
      () => lastLogits(model, [{ ids: [1, 40], label }]),
      (error) =>
        error instanceof ShapeError && /expected 0 to 39, got 40 at position 1/.test(error.message),
    );
  });

  test(`${name}: a sharded checkpoint gives the same bits`, (context) => {
    const folder = copy(context);
    shard(folder);
    assert.deepEqual(rowLogits(open(folder), name), rowLogits(open(tinyFolder(name)), name));
  });

  test(`${name}: float16 weights give nearly the same logits`, (context) => {
    const exact = rowLogits(open(tinyFolder(name)), name);
    const half = rowLogits(open(copy(context, { dtype: "F16" })), name);
    exact.forEach((logits, i) => {
      assertAllClose(half[i] ?? [], logits, F16_TOLERANCE, `row ${i}`);
      assert.notDeepEqual(half[i], logits);
    });
  });

  test(`${name}: bfloat16 weights give the logits of the same numbers in float32`, (context) => {
    const rounded = copy(context, { tensors: keepUpperHalves });
    const expected = rowLogits(open(rounded), name);
    assert.notDeepEqual(expected, rowLogits(open(tinyFolder(name)), name));
    const folder = copy(context);
    writeFileSync(join(folder, "model.safetensors"), bf16File(readTensors(rounded)));
    assert.deepEqual(rowLogits(open(folder), name), expected);
  });

  test(`${name}: saved in float32 it loads with the same bits, in float16 nearly`, (context) => {
    const model = open(tinyFolder(name));
    const logits = rowLogits(model, name);
    const [exact, half] = [temporaryFolder(context), temporaryFolder(context)];
    saveModel(model, exact, { dtype: "F32" });
    saveModel(model, half, { dtype: "F16" });
    const again = open(exact);
    assert.deepEqual(rowLogits(again, name), logits);
    assert.deepEqual(again.labels, model.labels);
    assert.deepEqual(
      encodeSafetensors(readTensors(exact)),
      encodeSafetensors(readTensors(tinyFolder(name))),
    );
    const stored = JSON.parse(readFileSync(join(half, "config.json"), "utf8")) as {
      [key: string]: unknown;
    };
    assert.equal(stored["torch_dtype"], "float16");
    assert.ok(stored["dtype"] === undefined || stored["dtype"] === "float16", "dtype");
    rowLogits(open(half), name).forEach((row, i) => {
      assertAllClose(row, logits[i] ?? [], F16_TOLERANCE, `float16, row ${i}`);
    });
  });

  test(`${name}: names without the family's prefix load too`, (context) => {
    const prefix = weight.name.slice(0, weight.name.indexOf(".") + 1);
    const folder = copy(context, {
      tensors: (tensors) => {
        for (const [tensor, values] of [...tensors]) {
          if (!tensor.startsWith(prefix)) continue;
          tensors.delete(tensor);
          tensors.set(tensor.slice(prefix.length), values);
        }
      },
    });
    assert.deepEqual(rowLogits(open(folder), name), rowLogits(open(tinyFolder(name)), name));
  });

  test(`${name}: random weights depend on the seed alone and ignore the stored ones`, () => {
    const load = (randomWeightsSeed: number): Float32Array[] =>
      rowLogits(loadModel(Engine.create(), tinyFolder(name), { randomWeightsSeed }), name);
    assert.deepEqual(load(3), load(3));
    assert.notDeepEqual(load(3), load(4));
    assert.notDeepEqual(load(3), rowLogits(open(tinyFolder(name)), name));
  });

  test(`${name}: a model in memory takes as many bytes as it has parameters`, () => {
    const model = open(tinyFolder(name));
    const numParameters = model.store.all().reduce((sum, { tensor }) => sum + tensor.size, 0);
    const stored = [...readTensors(tinyFolder(name)).values()];
    assert.equal(
      numParameters,
      stored.reduce((sum, { shape: sides }) => sum + sizeOf(sides), 0),
    );
    const { weights, step, state } = model.engine.stats;
    assert.ok(weights >= 4 * numParameters && weights < 4 * numParameters + 16_384);
    assert.deepEqual({ step, state }, { step: 0, state: 0 });
  });
}
