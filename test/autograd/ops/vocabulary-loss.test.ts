/** The loss over a vocabulary in blocks against linear and crossEntropy on all logits at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crossEntropy, IGNORED_LABEL } from "../../../src/autograd/ops/cross-entropy.ts";
import { gatherRows } from "../../../src/autograd/ops/gather-rows.ts";
import { linear } from "../../../src/autograd/ops/linear.ts";
import { vocabularyBlockRows, vocabularyLoss } from "../../../src/autograd/ops/vocabulary-loss.ts";
import { Tape } from "../../../src/autograd/tape.ts";
import { baseDtypes, type BaseDtype } from "../../../src/base/base-dtype.ts";
import { ShapeError } from "../../../src/base/errors.ts";
import { Rng } from "../../../src/base/rng.ts";
import { vocabularyBlockRows as countedBlockRows } from "../../../src/cost/operations.ts";
import { Engine } from "../../../src/tensor/engine.ts";
import { storeRows } from "../../../src/tensor/storage/storages.ts";
import type { Tensor } from "../../../src/tensor/tensor.ts";

interface Case {
  readonly M: number;
  readonly V: number;
  readonly C: number;
  readonly dtype: BaseDtype;
  readonly hasBias: boolean;
  readonly trainsWeight: boolean;
  /** Share of rows that are ignored. */
  readonly ignored: number;
  readonly scale: number;
  readonly seed: number;
}

interface Result {
  readonly loss: number;
  /** Of hidden, weight and bias. */
  readonly gradients: readonly (Float32Array | undefined)[];
  readonly stepPeak: number;
}

type LossOf = (
  tape: Tape,
  hidden: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  labels: readonly number[],
) => Tensor;

const whole: LossOf = (tape, hidden, weight, bias, labels) =>
  crossEntropy(tape, linear(tape, hidden, weight, bias), labels);

function run(engine: Engine, lossOf: LossOf, each: Case, recording = true): Result {
  const { M, V, C, dtype, hasBias, trainsWeight, ignored, scale, seed } = each;
  engine.clear();
  const rng = Rng.fromSeed(seed);
  const normals = (shape: readonly number[], std: number): Tensor => {
    const tensor = engine.empty(shape, "state");
    const values = tensor.f32;
    values.forEach((_, i) => (values[i] = std * rng.normal()));
    tensor.requiresGrad = true;
    return tensor;
  };
  const hidden = normals([M, C], 1);
  let weight = normals([V, C], 1);
  weight.requiresGrad = trainsWeight;
  if (dtype !== "f32") {
    const stored = engine.empty([V, C], "weights", dtype);
    storeRows(engine, stored, 0, weight.toHost());
    weight = stored;
  }
  const bias = hasBias ? normals([V], 0.3) : null;
  if (bias !== null) bias.requiresGrad = trainsWeight;
  const labels = Array.from({ length: M }, () =>
    rng.next() < ignored ? IGNORED_LABEL : rng.int(V),
  );
  return engine.step(() => {
    const tape = new Tape(engine, { recording });
    const loss = lossOf(tape, hidden, weight, bias, labels);
    const value = loss.f32[0] as number;
    if (recording) tape.backward(loss, scale);
    const gradients = [hidden, weight, bias].map((tensor) =>
      tensor === null ? undefined : tape.gradient(tensor)?.toHost(),
    );
    return { loss: value, gradients, stepPeak: engine.stats.stepPeak };
  });
}

function assertClose(got: Float32Array | undefined, want: Float32Array | undefined): void {
  assert.equal(got?.length, want?.length);
  const largest = want?.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12) ?? 0;
  want?.forEach((value, i) => {
    const difference = Math.abs((got?.[i] as number) - value);
    assert.ok(difference <= 1e-5 * largest, `element ${i}: ${got?.[i]} and ${value}`);
  });
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    M: fc.integer({ min: 1, max: 150 }),
    V: fc.integer({ min: 1, max: 70 }),
    C: fc.integer({ min: 1, max: 40 }),
    dtype: fc.constantFrom(...baseDtypes),
    hasBias: fc.boolean(),
    wantsWeight: fc.boolean(),
    ignored: fc.constantFrom(0, 0.4, 1),
    scale: fc.constantFrom(1, 0.25, 0),
    seed: fc.integer({ min: 1, max: 1000 }),
  })
  .map(({ wantsWeight, ...rest }) => ({
    ...rest,
    trainsWeight: wantsWeight && rest.dtype === "f32",
  }));

test("loss and gradients are those of linear and crossEntropy, whatever is ignored, stored or trained", () => {
  const engine = Engine.create();
  const property = fc.property(cases, (each) => {
    const [got, want] = [run(engine, vocabularyLoss, each), run(engine, whole, each)];
    assert.ok(Math.abs(got.loss - want.loss) <= 1e-5 * Math.max(1, want.loss));
    got.gradients.forEach((gradient, i) => assertClose(gradient, want.gradients[i]));
    assert.equal(run(engine, vocabularyLoss, each, false).loss, run(engine, whole, each).loss);
  });
  fc.assert(property, { seed: 5, numRuns: 60 });
});

/** More rows than one block has. */
const long: Case = {
  ...{ M: 370, V: 20011, C: 12, dtype: "f32", hasBias: true, trainsWeight: true },
  ...{ ignored: 0.1, scale: 0.5, seed: 3 },
};

test("several blocks give the same loss and gradients, and hold the logits of one", () => {
  const engine = Engine.create();
  const blockRows = vocabularyBlockRows(long.M, long.V);
  assert.ok(blockRows < long.M);
  for (const trainsWeight of [true, false]) {
    const each = { ...long, trainsWeight };
    const want = run(engine, whole, each);
    const got = run(engine, vocabularyLoss, each);
    assert.ok(Math.abs(got.loss - want.loss) <= 1e-5 * want.loss);
    got.gradients.forEach((gradient, i) => assertClose(gradient, want.gradients[i]));
    const blockBytes = 4 * blockRows * long.V;
    const tables = trainsWeight ? 4 * long.V * (long.C + 1) : 0;
    assert.ok(got.stepPeak < blockBytes + tables + 1e6, `${got.stepPeak} bytes`);
    assert.ok(want.stepPeak > 2 * got.stepPeak - tables);
  }
});

test("any number of threads gives the bits of one", () => {
  const [alone, team] = [Engine.create(), Engine.create({ threads: 3 })];
  const [got, want] = [run(team, vocabularyLoss, long), run(alone, vocabularyLoss, long)];
  assert.equal(got.loss, want.loss);
  assert.deepEqual(got.gradients, want.gradients);
  team.dispose();
});

test("a table that is the embedding too gets both gradients", () => {
  const engine = Engine.create();
  const gradientBy = (lossOf: LossOf): Float32Array | undefined => {
    const tied: LossOf = (tape, _hidden, weight, bias, labels) =>
      lossOf(tape, gatherRows(tape, weight, [3, 3, 0, 8, 1]), weight, bias, labels.slice(0, 5));
    const each = { ...long, M: 5, V: 9, ignored: 0 };
    return run(engine, tied, each).gradients[1];
  };
  assertClose(gradientBy(vocabularyLoss), gradientBy(whole));
});

test("a label that is no word and a wrong number of labels are refused", () => {
  const engine = Engine.create();
  const [hidden, weight] = [engine.zeros([2, 3]), engine.zeros([4, 3])];
  for (const labels of [[0, 4], [0]]) {
    assert.throws(() => vocabularyLoss(new Tape(engine), hidden, weight, null, labels), ShapeError);
  }
});

test("the cost model counts the same blocks", () => {
  for (const V of [1, 512, 30522, 50257]) {
    for (const M of [1, 119, 180, 504, 1016, 100000]) {
      assert.equal(countedBlockRows(M, V), vocabularyBlockRows(M, V));
    }
  }
});
