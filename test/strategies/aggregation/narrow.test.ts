/** Narrowing an adapter to a device, and finding out where a device's factors belong: one undoes what the other leaves out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../../src/base/adapter.ts";
import { hostArray } from "../../../src/base/arrays.ts";
import { RoundError } from "../../../src/base/errors.ts";
import { Rng } from "../../../src/base/rng.ts";
import { type Structure, fullStructure } from "../../../src/base/structure.ts";
import { loraStack } from "../../../src/strategies/aggregation/lora-stack.ts";
import { narrow, withOwnership } from "../../../src/strategies/aggregation/narrow.ts";
import { defectOf } from "../../../src/strategies/aggregation/update-check.ts";
import {
  LAYERS,
  denseProduct,
  moduleNamed,
  randomAdapter,
  randomUpdate,
  relativeDistance,
} from "../../support/adapters.ts";
import { TOY_SHAPE } from "../../support/toy-shape.ts";

/** Heads 0 and 2 of 3 with 2 rows of the query each, channels 1, 4 and 8 of 9 with a column of `down` each. */
const PRUNED: Structure = { layers: [{ heads: [0, 2], ffn: [1, 4, 8] }] };
const pruned = { shape: TOY_SHAPE, structure: PRUNED };
const adapter = (rank = 3): AdapterState => randomAdapter(Rng.fromSeed("narrow"), rank);

/** As an update comes out of its file. */
function bare(state: AdapterState): AdapterState {
  const modules = state.modules.map(({ name, a, b, scale }) => ({ name, a, b, scale }));
  return { modules, heads: state.heads };
}

test("a narrowed adapter does on the units that are left what the whole one does there", () => {
  const state = adapter();
  const small = narrow(state, { pruned });
  assert.equal(defectOf(small), null);
  const kept: Record<string, (o: number, i: number) => boolean> = {
    "layers.0.query": (o) => [0, 1, 4, 5].includes(o),
    "layers.0.down": (_, i) => PRUNED.layers[0]?.ffn.includes(i) === true,
  };
  for (const { name } of LAYERS) {
    const expected = denseProduct(moduleNamed(state, name)).map((row, o) =>
      row.map((value, i) => (kept[name]?.(o, i) === true ? value : 0)),
    );
    assert.deepEqual(denseProduct(moduleNamed(small, name)), expected);
  }
  assert.deepEqual(moduleNamed(small, "layers.0.query").b.shape, [4, 3]);
  assert.deepEqual(moduleNamed(small, "layers.0.down").a.shape, [3, 3]);
  assert.equal(small.heads, state.heads);
});

test("a prefix of a merged adapter is what merging at the smaller rank gives", () => {
  const rng = Rng.fromSeed("prefix");
  const updates = ["a", "b"].map((id) => randomUpdate(rng, id, 2));
  const large = loraStack.aggregate(updates, { rank: 4, scale: 2 }).state;
  for (const rank of [1, 2, 3]) {
    const cut = narrow(large, { rank });
    const small = loraStack.aggregate(updates, { rank, scale: 2 }).state;
    for (const { name } of LAYERS) {
      const [got, want] = [cut, small].map((state) => denseProduct(moduleNamed(state, name)));
      assert.ok(got !== undefined && want !== undefined && relativeDistance(got, want) < 1e-6);
    }
  }
});

test("what loses nothing is shared, not copied", () => {
  const state = adapter();
  const whole = { shape: TOY_SHAPE, structure: fullStructure(TOY_SHAPE.units) };
  narrow(state, { rank: 3, pruned: whole }).modules.forEach((module, i) =>
    assert.equal(module, state.modules[i]),
  );
  const [query] = narrow(state, { pruned }).modules;
  assert.equal(query?.a, state.modules[0]?.a);
});

test("narrowing refuses a larger rank, a layer that the model lacks, and a second slicing", () => {
  assert.throws(() => narrow(adapter(3), { rank: 4 }), /expected at most 3, got 4/);
  const strange = randomAdapter(Rng.fromSeed(1), 2, 2, [
    { name: "pooler", numOutputs: 5, numInputs: 5 },
  ]);
  assert.throws(() => narrow(strange, { pruned }), RoundError);
  assert.throws(() => narrow(narrow(adapter(), { pruned }), { pruned }), RoundError);
});

test("the ownership of an update follows from its structure", () => {
  const small = narrow(adapter(), { rank: 2, pruned });
  assert.deepEqual(withOwnership(bare(small), TOY_SHAPE, PRUNED), { state: small });
  const whole = adapter();
  assert.deepEqual(withOwnership(bare(whole), TOY_SHAPE, fullStructure(TOY_SHAPE.units)), {
    state: whole,
  });
});

const wrong: Record<string, (state: AdapterState) => AdapterState> = {
  "rows of a head that was pruned": (state) => ({
    ...state,
    modules: state.modules.map((module) => ({ ...module, b: hostArray([6, 3]) })),
  }),
  "columns of channels that were pruned": (state) => ({
    ...state,
    modules: state.modules.map((module) => ({ ...module, a: hostArray([3, 9]) })),
  }),
  "factors of two ranks": (state) => ({
    ...state,
    modules: state.modules.map((module) => ({ ...module, b: hostArray([4, 2]) })),
  }),
  "no direction": (state) => ({
    ...state,
    modules: state.modules.map((module) => ({
      ...module,
      a: hostArray([0, 5]),
      b: hostArray([4, 0]),
    })),
  }),
  "a factor that is no matrix": (state) => ({
    ...state,
    modules: state.modules.map((module) => ({ ...module, a: hostArray([15]) })),
  }),
  "a layer of another model": (state) => ({
    ...state,
    modules: state.modules.map((module) => ({ ...module, name: "layers.7.query" })),
  }),
};
for (const [what, damage] of Object.entries(wrong)) {
  test(`an update with ${what} does not fit its structure`, () => {
    const result = withOwnership(damage(bare(narrow(adapter(), { pruned }))), TOY_SHAPE, PRUNED);
    assert.ok("defect" in result);
    assert.match(result.defect.text, /layers\.\d\.(query|down)/);
  });
}
