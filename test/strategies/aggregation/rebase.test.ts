/** Rebasing: a stale update keeps its change, whatever has become of the adapter since. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../../src/base/adapter.ts";
import { Rng } from "../../../src/base/rng.ts";
import { aggregators } from "../../../src/strategies/aggregation/index.ts";
import { rebase } from "../../../src/strategies/aggregation/rebase.ts";
import {
  denseProduct,
  HEAD,
  LAYERS,
  moduleNamed,
  prune,
  randomAdapter,
  relativeDistance,
} from "../../support/adapters.ts";
import { difference } from "../../support/dense-mean.ts";
import { must } from "../../support/must.ts";

const CLOSE = 1e-5;

function expectSameChange(
  [got, now]: readonly [AdapterState, AdapterState],
  [update, then]: readonly [AdapterState, AdapterState],
): void {
  for (const { name } of LAYERS) {
    const [x, y, z, w] = [got, now, update, then].map((state) =>
      denseProduct(moduleNamed(state, name)),
    );
    const distance = relativeDistance(difference(must(x), must(y)), difference(must(z), must(w)));
    assert.ok(distance < CLOSE, `${name} differs by ${distance}`);
  }
}

test("what is added to the newest adapter is what the device had added to an older one", () => {
  const rng = Rng.fromSeed("rebase");
  const [update, then, now] = [randomAdapter(rng, 2), randomAdapter(rng, 2), randomAdapter(rng, 4)];
  const moved = rebase(update, then, now);
  expectSameChange([moved, now], [update, then]);
  const [head, ...others] = [moved, update, then, now].map(
    (state) => must(state.heads.get(HEAD.name)).data,
  );
  head?.forEach((value, i) => {
    const [x = 0, y = 0, z = 0] = others.map((data) => data[i]);
    assert.ok(Math.abs(value - (x - y + z)) < CLOSE);
  });
});

test("an update that was trained from fresh factors is a change by itself", () => {
  const rng = Rng.fromSeed("fresh");
  const [update, now] = [randomAdapter(rng, 2), randomAdapter(rng, 4)];
  const nothing = {
    modules: update.modules.map((m) => ({ ...m, scale: 1e-20 })),
    heads: new Map(),
  };
  const moved = rebase(update, null, now);
  expectSameChange([moved, now], [update, nothing]);
  assert.deepEqual(moved.heads, update.heads);
});

test("a pruned update stays pruned", () => {
  const rng = Rng.fromSeed("pruned");
  const cut = (state: AdapterState): AdapterState => ({
    ...state,
    modules: state.modules.map((module) => prune(module, "rows", [1, 3])),
  });
  const [update, then, now] = [randomAdapter(rng, 2), randomAdapter(rng, 2), randomAdapter(rng, 3)];
  const moved = rebase(cut(update), cut(then), cut(now));
  for (const { rows } of moved.modules) assert.deepEqual(rows?.indices, [1, 3]);
  expectSameChange([moved, cut(now)], [cut(update), cut(then)]);
});

test("every rule that takes stale updates gives one back that is alone, and weighs by the discount", () => {
  for (const rule of Object.values(aggregators)) {
    if (rule.takesAnyRank !== true || rule.devicesMerge === true) continue;
    const rng = Rng.fromSeed(rule.name);
    const previous = randomAdapter(rng, 4);
    const stale = rebase(randomAdapter(rng, 2), randomAdapter(rng, 2), previous);
    const update = { ...stale, deviceId: "a", numSamples: 3, discount: 0.5 };
    const whole = { rank: 9, scale: 2, previous };
    const { state } = rule.aggregate([update], whole);
    for (const { name } of LAYERS) {
      const [got, want] = [state, stale].map((each) => denseProduct(moduleNamed(each, name)));
      assert.ok(relativeDistance(must(got), must(want)) < CLOSE, rule.name);
    }
    assert.throws(() => rule.aggregate([{ ...update, discount: 2 }], whole), /discount of 2/);
  }
});
