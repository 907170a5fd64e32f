/** Centred clipping: the promises of every rule and of every robust one, and how far one device can move it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../../src/base/adapter.ts";
import { Rng } from "../../../src/base/rng.ts";
import { centredClipping } from "../../../src/strategies/aggregation/centred-clipping.ts";
import { changeNorm } from "../../../src/strategies/screening/change-norm.ts";
import { randomUpdate } from "../../support/adapters.ts";
import { robustSuite } from "../../support/robust-suite.ts";

robustSuite(centredClipping);

test("a device moves the result as far as others do, however far it goes itself", () => {
  const resultWith = (factor: number): AdapterState => {
    const updates = Array.from({ length: 5 }, (_, i) => {
      const update = randomUpdate(Rng.fromSeed(i), `device-${i}`, 2);
      if (i < 4) return update;
      const modules = update.modules.map((module) => ({ ...module, scale: module.scale * factor }));
      return { ...update, modules };
    });
    return centredClipping.aggregate(updates, { rank: 9, scale: 2 }).state;
  };
  const honest = resultWith(1);
  const near = changeNorm(resultWith(100), honest).products;
  const far = changeNorm(resultWith(10_000), honest).products;
  assert.ok(Math.abs(far / near - 1) < 0.02, `${near} and ${far}`);
  assert.ok(near < changeNorm(honest, null).products);
});
