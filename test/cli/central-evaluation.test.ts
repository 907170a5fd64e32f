/** Central evaluation: an adapter on the whole base, and on the devices' own pruned models. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { Rng } from "../../src/base/rng.ts";
import { type Structure, fullStructure } from "../../src/base/structure.ts";
import { centralEvaluation } from "../../src/cli/central-evaluation.ts";
import { readHeadShapes } from "../../src/models/head-shapes.ts";
import { readModelShape } from "../../src/models/shape.ts";
import { randomArray } from "../support/adapters.ts";
import { must } from "../support/must.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel, tinyWords } from "../support/tiny-model.ts";

const LABELS = ["a", "b", "c"];
const RANK = 2;

function setUp(folder: string) {
  copyTinyModel("bert-classify", folder, { tokenizer: "encoder" });
  const rng = Rng.fromSeed("texts");
  const text = (): string => Array.from({ length: 8 }, () => rng.pick(tinyWords)).join(" ");
  const examples = Array.from({ length: 60 }, () => ({ text: text(), label: rng.pick(LABELS) }));
  const evaluate = centralEvaluation({
    baseFolder: folder,
    test: { examples, labels: LABELS },
    maxTokens: 16,
    kernels: "simd",
    baseDtype: "f32",
  });
  const shape = readModelShape(folder, LABELS);
  const linears = shape.linears.filter(({ name }) => /query|output\.dense/.test(name));
  const adapter: AdapterState = {
    modules: linears.map(({ name, inputs, outputs }) => {
      const [a, b] = [randomArray(rng, [RANK, inputs]), randomArray(rng, [outputs, RANK])];
      return { name, a, b, scale: 1 };
    }),
    heads: new Map(
      [...readHeadShapes(folder, LABELS)].map(([name, sides]) => [name, randomArray(rng, sides)]),
    ),
  };
  const full = fullStructure(shape.units);
  const halved: Structure = {
    layers: full.layers.map(({ heads, ffn }) => ({
      heads: heads.slice(0, 1),
      ffn: ffn.filter((id) => id % 2 === 0),
    })),
  };
  return { evaluate, adapter, full, halved };
}

test("pruned models are scored one by one: the mean over devices, and the worst of them", async (t) => {
  const { evaluate, adapter, full, halved } = setUp(temporaryFolder(t));
  const whole = await evaluate(adapter, new Map());
  assert.deepEqual(Object.keys(whole), ["accuracy", "loss", "macroF1"]);
  const alone = await evaluate(adapter, new Map([["small", halved]]));
  assert.notEqual(alone.loss, whole.loss, "pruning changes what the model says");
  const structures = new Map([
    ["large", full],
    ["small", halved],
    ["twin", halved],
  ]);
  const { accuracy, loss, macroF1, numDevices, worst } = await evaluate(adapter, structures);
  const mean = (key: "accuracy" | "loss" | "macroF1"): number => (whole[key] + 2 * alone[key]) / 3;
  for (const [got, want] of [
    [accuracy, mean("accuracy")],
    [loss, mean("loss")],
    [macroF1, mean("macroF1")],
  ] as const) {
    assert.ok(Math.abs(got - want) < 1e-6, `${got} is not ${want}`);
  }
  assert.equal(numDevices, 3);
  assert.equal(must(worst).accuracy, Math.min(whole.accuracy, alone.accuracy));
});

test("a score does not depend on what was scored before it", async (t) => {
  const { evaluate, adapter, halved } = setUp(temporaryFolder(t));
  const structures = new Map([["small", halved]]);
  const first = await evaluate(adapter, structures);
  await evaluate(adapter, new Map());
  assert.deepEqual(await evaluate(adapter, structures), first);
});
