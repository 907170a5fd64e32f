/** The grid: its order, its keys, and that every cell is a simulation that could run. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { cellKey, scales, USUAL_RATE } from "../../../bench/reproduce/cells.ts";
import { cellsInOrder, gridOf, tuningCells } from "../../../bench/reproduce/grid.ts";
import { isPruned, methods } from "../../../bench/reproduce/methods.ts";
import { simulationConfig } from "../../../bench/reproduce/run-one.ts";
import { parseCoordinatorConfig } from "../../../src/coordinator/config.ts";

const options = {
  scale: scales.full,
  datasets: ["sst2", "hwu64"],
  seeds: [1, 2, 3],
  rateOf: () => USUAL_RATE,
};
const blocks = gridOf(options);
const cells = cellsInOrder(blocks);

test("the centre of the grid comes first, one seed of all data sets before the next", () => {
  const numMethods = methods.length;
  const centre = cells.slice(0, 6 * numMethods);
  assert.ok(centre.every(({ settings }) => settings.alpha === 1));
  assert.deepEqual(
    centre.map(({ settings }) => `${settings.dataset} ${settings.seed}`),
    ["sst2 1", "hwu64 1", "sst2 2", "hwu64 2", "sst2 3", "hwu64 3"].flatMap((name) =>
      Array.from({ length: numMethods }, () => name),
    ),
  );
});

test("equal settings are one run, whatever the block calls it", () => {
  const byKey = new Map<string, Set<string>>();
  for (const cell of cells) {
    const labels = byKey.get(cellKey(cell)) ?? new Set();
    byKey.set(cellKey(cell), labels.add(cell.label));
  }
  const ours = [...byKey.values()].filter((labels) => labels.has("sst2/a1/s50/fedspine/seed1"));
  assert.equal(ours.length, 1);
  assert.ok(ours[0]?.has("sst2/a1/s50/steps-20/seed1"));
  assert.ok(ours[0]?.has("sst2/a1/s50/score-fisher/seed1"));
  assert.ok(ours[0]?.has("sst2/a1/s50/controller-s-ucb/seed1"));
  // An unpruned method runs once for all sparsities.
  const unpruned = methods.filter((method) => !isPruned(method));
  assert.ok(unpruned.length > 0);
  for (const { id } of unpruned) {
    const keys = cells.filter(
      ({ label }) => label.startsWith("sst2/a1/") && label.includes(`/${id}/seed1`),
    );
    assert.equal(new Set(keys.map(cellKey)).size, 1);
  }
});

test("a key follows the settings and not their order", () => {
  const [cell] = cells;
  assert.ok(cell !== undefined);
  const { settings } = cell;
  const turned = Object.fromEntries(Object.entries(settings).reverse()) as typeof settings;
  assert.equal(cellKey({ label: "other", settings: turned }), cellKey(cell));
  assert.notEqual(cellKey({ label: "", settings: { ...settings, seed: 9 } }), cellKey(cell));
});

test("the intervals of the ablation train the same number of steps in all", () => {
  const interval = blocks.find(({ id }) => id === "sst2-a1-s50-interval");
  const totals = interval?.rows.map(({ cells: [cell] }) => {
    const { rounds = 0, steps = 0 } = cell?.settings.scale ?? {};
    return rounds * steps;
  });
  assert.equal(totals?.length, 4);
  assert.equal(new Set(totals).size, 1);
});

test("every cell is a valid simulation with a valid coordinator", () => {
  const tuning = methods.flatMap((method) => tuningCells(scales.full, "sst2", method, [1e-3]));
  const distinct = new Map([...cells, ...tuning].map((cell) => [cellKey(cell), cell]));
  for (const { settings } of distinct.values()) {
    const { coordinator } = simulationConfig(settings, "data");
    parseCoordinatorConfig({ ...coordinator, base: "base", labels: ["a", "b"] });
  }
});

test("tuning runs are short and on a seed of their own", () => {
  const [method] = methods;
  assert.ok(method !== undefined);
  const runs = tuningCells(scales.full, "sst2", method, [1e-3, 2e-3]);
  assert.deepEqual(
    runs.map(({ settings }) => settings.learningRate),
    [1e-3, 2e-3],
  );
  assert.ok(runs.every(({ settings }) => !options.seeds.includes(settings.seed)));
  assert.ok(runs.every(({ settings }) => settings.scale.rounds === scales.full.tuningRounds));
});

test("a quick grid is one block per data set", () => {
  assert.equal(gridOf({ ...options, scale: scales.quick, datasets: ["sst2"] }).length, 1);
});
