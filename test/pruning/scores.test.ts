/** Every importance score against sums in plain loops, on whole and on pruned models of both families. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/base/errors.ts";
import type { LinearShape, UnitSpan } from "../../src/base/model-shape.ts";
import { fullStructure, unitKinds, type Structure } from "../../src/base/structure.ts";
import { unitParameters } from "../../src/cost/parameters.ts";
import { packBatch } from "../../src/data/batch.ts";
import type { Model } from "../../src/models/model.ts";
import { scorers } from "../../src/pruning/scores/index.ts";
import type { UnitScores } from "../../src/pruning/unit-scores.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { assertAllClose } from "../support/all-close.ts";
import { must } from "../support/must.ts";
import {
  adaptedTinyModel,
  plainLinears,
  scoreStep,
  type PlainLinear,
  type ScoredModel,
} from "../support/score-step.ts";

const names = ["bert-classify", "llama-tied"] as const;

/** Odd units out, different ones per layer. */
function thinned(model: Model): Structure {
  const { layers } = fullStructure(model.shape.units);
  return {
    layers: layers.map(({ heads, ffn }, i) => ({
      heads: heads.filter((id) => heads.length === 1 || id % 2 === i % 2),
      ffn: ffn.filter((id) => id % 3 !== i % 3),
    })),
  };
}

/** The whole model and a pruned one of each family. */
const models = names.flatMap((name) => {
  const whole = adaptedTinyModel(name);
  const structure = thinned(whole.model);
  return [
    { title: name, scored: whole },
    { title: `${name}, pruned`, scored: adaptedTinyModel(name, { structure }) },
  ];
});

type Plain = number[][][];

/** [layer][0 = heads, 1 = ffn][unit] of zeros. */
const zeros = ({ structure }: Model): Plain =>
  structure.layers.map((layer) => unitKinds.map((kind) => layer[kind].map(() => 0)));

/** Calls for each weight of a unit with its place in the array [out, in]. */
function forEachWeight(
  model: Model,
  { name, outputs, inputs }: PlainLinear,
  visit: (span: UnitSpan, unit: number, row: number, col: number) => void,
): void {
  const shape = must(model.shape.linears.find((linear: LinearShape) => linear.name === name));
  const span = must(shape.rows ?? shape.cols);
  for (let row = 0; row < outputs; row++) {
    for (let col = 0; col < inputs; col++) {
      const at = shape.rows === undefined ? col : row;
      visit(span, Math.floor(at / span.size), row, col);
    }
  }
}

function add(sums: Plain, { layer, kind }: UnitSpan, unit: number, value: number): void {
  const units = must(must(sums[layer])[unitKinds.indexOf(kind)]);
  units[unit] = must(units[unit]) + value;
}

function assertScores(got: UnitScores, want: Plain, tolerance: number, what: string): void {
  assert.equal(got.length, want.length);
  want.forEach((layer, i) => {
    unitKinds.forEach((kind, k) => {
      const of = must(layer[k]);
      assert.ok(Math.max(...of) > 0, "the oracle has something to say");
      assertAllClose(must(got[i])[kind], of, tolerance, `${what}, layer ${i}, ${kind}`);
    });
  });
}

/**
 * The signed Taylor sum over the columns behind a unit, of one sample alone: base weights and A both carry what
 * the unit puts out.
 */
function taylorSums({ model, sequences }: ScoredModel, sample: number): Plain {
  const sums = zeros(model);
  for (const linear of plainLinears(model, packBatch([must(sequences[sample])]))) {
    const { weight, weightGradient, a, aGradient, rank, inputs } = linear;
    const shape = must(model.shape.linears.find(({ name }) => name === linear.name));
    if (shape.cols === undefined) continue;
    forEachWeight(model, linear, (span, unit, row, col) => {
      const at = row * inputs + col;
      add(sums, span, unit, must(weight[at]) * must(weightGradient[at]));
      if (row < rank) add(sums, span, unit, must(a[at]) * must(aGradient[at]));
    });
  }
  return sums;
}

/** 1 for classes; for language models, what a sample's own mean loss counts in that of the batch, times B. */
function share({ model, sequences }: ScoredModel, sample: number): number {
  if (model.task === "classify") return 1;
  const predicted = sequences.map(({ ids }) => ids.length - 1);
  return (must(predicted[sample]) * sequences.length) / predicted.reduce((x, y) => x + y, 0);
}

function effective({ weight, a, b, rank, scale, inputs }: PlainLinear, row: number, col: number) {
  let sum = must(weight[row * inputs + col]);
  for (let r = 0; r < rank; r++) sum += scale * must(b[row * rank + r]) * must(a[r * inputs + col]);
  return sum;
}

for (const { title, scored } of models) {
  const { model, sequences } = scored;

  test(`${title}: fisher is the mean of the squared Taylor sums of each sample by itself`, () => {
    const want = zeros(model);
    sequences.forEach((_, sample) => {
      const factor = share(scored, sample);
      taylorSums(scored, sample).forEach((layer, i) =>
        layer.forEach((units, k) =>
          units.forEach((sum, u) => {
            const all = must(must(want[i])[k]);
            all[u] = must(all[u]) + (factor * sum) ** 2 / sequences.length;
          }),
        ),
      );
    });
    const scorer = scorers.fisher({ model, seed: "" });
    assertScores(scoreStep(scored, scorer), want, 1e-4, "fisher");
    // The next step starts from nothing.
    assertScores(scoreStep(scored, scorer), want, 1e-4, "fisher, again");
  });

  test(`${title}: activation is the mean size over tokens`, () => {
    const want = zeros(model);
    const scorer = scorers.activation({ model, seed: "" });
    const seen: { span: UnitSpan; values: Float32Array; cols: number }[] = [];
    const observer = must(scorer.observer);
    const watching = {
      ...scorer,
      observer: {
        unitActivations(...args: Parameters<typeof observer.unitActivations>) {
          const [layer, kind, tensor] = args;
          const of = model.shape.linears.find((l) => l.layer === layer && l.cols?.kind === kind);
          const span = must(of?.cols);
          seen.push({ span, values: tensor.toHost(), cols: tensor.cols });
          observer.unitActivations(...args);
        },
      },
    };
    const got = scoreStep(scored, watching);
    const numTokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
    for (const { span, values, cols } of seen) {
      values.forEach((value, i) => {
        add(want, span, Math.floor((i % cols) / span.size), Math.abs(value) / numTokens);
      });
    }
    assertScores(got, want, 1e-5, "activation");
  });

  test(`${title}: magnitude is the L1 norm of the weights with their adapter folded in`, () => {
    const want = zeros(model);
    for (const linear of plainLinears(model, packBatch(sequences))) {
      forEachWeight(model, linear, (span, unit, row, col) =>
        add(want, span, unit, Math.abs(effective(linear, row, col))),
      );
    }
    assertScores(scoreStep(scored, scorers.magnitude({ model, seed: "" })), want, 1e-5, title);
  });

  test(`${title}: lora-prune sums |(gB A + B gA - gB gA) o (W + s B A)| and normalises each module`, () => {
    const want = zeros(model);
    const linears = plainLinears(model, packBatch(sequences));
    for (const linear of linears) {
      const { a, b, aGradient, bGradient, rank, inputs } = linear;
      const sums = zeros(model);
      let where: UnitSpan | undefined;
      forEachWeight(model, linear, (span, unit, row, col) => {
        let guide = 0;
        for (let r = 0; r < rank; r++) {
          const [gB, gA] = [must(bGradient[row * rank + r]), must(aGradient[r * inputs + col])];
          guide += gB * must(a[r * inputs + col]) + must(b[row * rank + r]) * gA - gB * gA;
        }
        add(sums, span, unit, Math.abs(guide * effective(linear, row, col)));
        where = span;
      });
      const span = must(where);
      const units = must(must(sums[span.layer])[unitKinds.indexOf(span.kind)]);
      const norm = Math.sqrt(units.reduce((sum, value) => sum + value * value, 0));
      const modules = model.shape.linears.filter(
        ({ layer, rows, cols }) => layer === span.layer && (rows ?? cols)?.kind === span.kind,
      ).length;
      const factor = (unitParameters(model.shape, span.kind) * Math.sqrt(units.length)) / modules;
      units.forEach((value, u) => add(want, span, u, (factor * value) / norm));
    }
    assertScores(scoreStep(scored, scorers["lora-prune"]({ model, seed: "" })), want, 1e-4, title);
  });
}

test("lora-prune with frozen A takes gA for zero", () => {
  const scored = adaptedTinyModel("bert-classify");
  const { model } = scored;
  const frozen = adaptedTinyModel("bert-classify");
  for (const { adapter } of frozen.model.linears()) {
    for (const tensor of must(adapter).perInput) tensor.requiresGrad = false;
  }
  const scorer = scorers["lora-prune"]({ model, seed: "" });
  const as: Tensor[] = model.linears().flatMap(({ adapter }) => [...must(adapter).perInput]);
  const blind = {
    ...scorer,
    take: (gradientOf: (tensor: Tensor) => Tensor | undefined) =>
      scorer.take((tensor) => (as.includes(tensor) ? undefined : gradientOf(tensor))),
  };
  const want = scoreStep(scored, blind);
  const got = scoreStep(frozen, scorers["lora-prune"]({ model: frozen.model, seed: "" }));
  want.forEach((layer, i) => {
    for (const kind of unitKinds) assertAllClose(must(got[i])[kind], layer[kind], 1e-5, kind);
  });
});

test("lora-prune refuses adapters that leave a kind of units unseen", () => {
  const { model } = adaptedTinyModel("bert-classify", { targets: ["query", "value"] });
  assert.throws(() => scorers["lora-prune"]({ model, seed: "" }), ConfigError);
});

test("a loss that is not a number gives scores that are not numbers, never ones that look sound", () => {
  for (const name of ["fisher", "lora-prune"] as const) {
    const scored = adaptedTinyModel("bert-classify");
    const { model } = scored;
    must(must(model.linears()[0]).adapter).perInput[0]?.f32.fill(NaN, 0, 1);
    const scores = scoreStep(scored, scorers[name]({ model, seed: "" }));
    const all = scores.flatMap(({ heads, ffn }) => [...heads, ...ffn]);
    assert.ok(!all.every(Number.isFinite), name);
  }
});

test("random scores are those of the seed, and a unit keeps its own when others go", () => {
  const whole = adaptedTinyModel("bert-classify").model;
  const pruned = adaptedTinyModel("bert-classify", { structure: thinned(whole) }).model;
  const draw = (model: Model, seed: string): UnitScores =>
    scorers.random({ model, seed }).take(() => undefined);
  assert.deepEqual(draw(whole, "a"), draw(whole, "a"));
  assert.notDeepEqual(draw(whole, "a"), draw(whole, "b"));
  const [all, left] = [draw(whole, "a"), draw(pruned, "a")];
  pruned.structure.layers.forEach((layer, i) => {
    for (const kind of unitKinds) {
      const kept = layer[kind].map((id) => must(all[i])[kind][id]);
      assert.deepEqual(Array.from(must(left[i])[kind]), kept);
    }
  });
});
