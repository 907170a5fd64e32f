/** What every robust aggregator promises beside the common suite. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { hostArray } from "../../src/base/arrays.ts";
import { Rng } from "../../src/base/rng.ts";
import type { AdapterUpdate, Aggregator } from "../../src/strategies/aggregation/aggregator.ts";
import { loraResidual } from "../../src/strategies/aggregation/lora-residual.ts";
import { changeNorm } from "../../src/strategies/screening/change-norm.ts";
import { HEAD, prune, randomAdapter, randomIndices } from "./adapters.ts";
import { aggregatorSuite, expectSameProducts } from "./aggregator-suite.ts";

const OPTIONS = { rank: 4, scale: 2 };

/** The first `rank` directions of `start` with `size` times random factors added. */
function moved(rng: Rng, start: AdapterState, rank: number, size: number): AdapterState {
  const step = randomAdapter(rng, rank);
  const modules = start.modules.map((module, l) => {
    const [R = 0, inputs = 0] = module.a.shape;
    const [outputs = 0] = module.b.shape;
    const other = step.modules[l];
    const a = Float32Array.from(
      { length: rank * inputs },
      (_, i) => (module.a.data[i] ?? 0) + size * (other?.a.data[i] ?? 0),
    );
    const b = Float32Array.from({ length: outputs * rank }, (_, i) => {
      const [o, r] = [Math.floor(i / rank), i % rank];
      return (module.b.data[o * R + r] ?? 0) + size * (other?.b.data[i] ?? 0);
    });
    return { ...module, a: hostArray([rank, inputs], a), b: hostArray([outputs, rank], b) };
  });
  const heads = new Map(
    [...start.heads].map(([name, { shape, data }]) => {
      const added = step.heads.get(name)?.data;
      return [
        name,
        hostArray(
          shape,
          data.map((value, i) => value + size * (added?.[i] ?? 0)),
        ),
      ];
    }),
  );
  return { modules, heads };
}

/** Eight devices near what they were sent, and two that are a hundred times as far. */
function fleet(previous: AdapterState): AdapterUpdate[] {
  return Array.from({ length: 10 }, (_, i) => {
    const isHostile = i === 3 || i === 7;
    const common = moved(Rng.fromSeed("common"), previous, 4, 0.05);
    const own = moved(Rng.fromSeed(`own ${i}`), common, 4, isHostile ? 5 : 0.02);
    return { ...own, deviceId: `device-${i}`, numSamples: isHostile ? 1000 : 10 };
  });
}

export function robustSuite(aggregator: Aggregator): void {
  aggregatorSuite(aggregator);
  const { name } = aggregator;

  test(`${name} stays with the honest devices where a fifth sends far too much`, () => {
    const previous = randomAdapter(Rng.fromSeed("previous"), 4);
    const updates = fleet(previous);
    const honest = updates.filter(({ numSamples }) => numSamples === 10);
    const goal = loraResidual.aggregate(honest, { ...OPTIONS, previous }).state;
    const far = (rule: Aggregator, part: "products" | "heads"): number => {
      const { state } = rule.aggregate(updates, { ...OPTIONS, previous });
      return changeNorm(state, goal)[part] / changeNorm(goal, previous)[part];
    };
    for (const part of ["products", "heads"] as const) {
      assert.ok(far(aggregator, part) < 0.8, `${part}: ${far(aggregator, part)}`);
      assert.ok(far(loraResidual, part) > 10, "plain averaging is lost");
    }
  });

  test(`${name} keeps the directions that devices of a lower rank were not sent`, () => {
    const previous = randomAdapter(Rng.fromSeed("unsent"), 4);
    const updates = [1, 2, 3].map((rank, i) => ({
      ...moved(Rng.fromSeed("nothing"), previous, rank, 0),
      deviceId: `device-${i}`,
      numSamples: 1,
    }));
    const { state } = aggregator.aggregate(updates, { ...OPTIONS, previous });
    expectSameProducts(state, previous, 1e-5);
    assert.deepEqual(state.heads.get(HEAD.name), previous.heads.get(HEAD.name));
  });

  test(`${name} asks only the owners of a row, and leaves what nobody has`, () => {
    const previous = randomAdapter(Rng.fromSeed("owners"), 4);
    const common = moved(Rng.fromSeed("step"), previous, 4, 0.1);
    const rng = Rng.fromSeed("rows");
    const updates = [0, 1, 2, 3].map((i) => ({
      ...common,
      modules: common.modules.map((module) =>
        prune(module, "rows", randomIndices(rng, module.b.shape[0] ?? 0, 0.7)),
      ),
      deviceId: `device-${i}`,
      numSamples: 1,
    }));
    const { state } = aggregator.aggregate(updates, { ...OPTIONS, previous });
    // All of them agree, so where anybody has a row it moves as they say.
    expectSameProducts(
      state,
      loraResidual.aggregate(updates, { ...OPTIONS, previous }).state,
      0.05,
    );
  });
}
