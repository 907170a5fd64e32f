/**
 * `npm run bench:aggregation`: how long a merge takes, and how far averaged factors are from the averaged products.
 * Tables on stderr, one JSON line per result on stdout; docs/aggregation.md quotes them.
 */
import { performance } from "node:perf_hooks";
import type { AdapterState, LoraModule } from "../../src/base/adapter.ts";
import type { AdapterUpdate, Aggregator } from "../../src/strategies/aggregation/aggregator.ts";
import { type Dense, dense, timesTransposed } from "../../src/strategies/aggregation/dense.ts";
import { fedAvg } from "../../src/strategies/aggregation/fed-avg.ts";
import { flora } from "../../src/strategies/aggregation/flora.ts";
import { hetLora } from "../../src/strategies/aggregation/het-lora.ts";
import { aggregators } from "../../src/strategies/aggregation/index.ts";
import { loraStack } from "../../src/strategies/aggregation/lora-stack.ts";
import { blockLayers, fleetKinds, syntheticFleet } from "./fleets.ts";

const SCALE = 2;
const REPEATS = 7;

function productOf({ a, b, scale }: LoraModule): Dense {
  const [rank = 0, inputs = 0] = a.shape;
  const columns = new Float64Array(a.data.length);
  for (let r = 0; r < rank; r++)
    for (let i = 0; i < inputs; i++) columns[i * rank + r] = scale * (a.data[r * inputs + i] ?? 0);
  const left = dense(b.shape[0] ?? 0, rank, Float64Array.from(b.data));
  return timesTransposed(left, dense(inputs, rank, columns));
}

/** ||got - mean product||_F / ||mean product||_F over all layers; the updates have equal weights. */
function errorOf(got: AdapterState, updates: readonly AdapterUpdate[]): number {
  let [difference, size] = [0, 0];
  got.modules.forEach(({ name }, l) => {
    const products = updates.map(({ modules }) => {
      const module = modules.find((one) => one.name === name);
      return productOf(module as LoraModule).data;
    });
    productOf(got.modules[l] as LoraModule).data.forEach((value, at) => {
      const mean = products.reduce((sum, data) => sum + (data[at] ?? 0), 0) / products.length;
      difference += (value - mean) ** 2;
      size += mean ** 2;
    });
  });
  return Math.sqrt(difference / size);
}

function tell(table: string, row: Record<string, number | string>): void {
  console.log(JSON.stringify({ table, ...row }));
  const cells = Object.values(row).map((cell, i) =>
    i === 0 ? String(cell).padEnd(34) : String(cell).padStart(12),
  );
  console.error(cells.join(""));
}

function headings(title: string, names: readonly string[]): void {
  console.error(`\n${title}\n${"".padEnd(34)}${names.map((name) => name.padStart(12)).join("")}`);
}

const rules: [string, Aggregator, (rank: number) => number][] = [
  ["fed-avg", fedAvg, (rank) => rank],
  ["het-lora", hetLora, (rank) => rank],
  ["stack R", loraStack, (rank) => rank],
  ["stack 2R", loraStack, (rank) => 2 * rank],
  ["flora", flora, (rank) => rank],
];
const small = blockLayers(1, 96, 192);

for (const [title, ranks] of [
  ["10 devices of rank 8: relative error of the merged product", Array<number>(10).fill(8)],
  ["10 devices of ranks 2 to 32", [2, 2, 4, 4, 8, 8, 16, 16, 32, 32]],
] as const) {
  const isMixed = new Set(ranks).size > 1;
  const rank = Math.max(...ranks);
  const fitting = rules.filter(([, rule]) => !isMixed || rule.needsEqualRanks !== true);
  headings(
    title,
    fitting.map(([name]) => name),
  );
  for (const kind of fleetKinds) {
    const updates = syntheticFleet(kind.what, small, ranks, kind);
    const errors = fitting.map(([name, rule, rankOf]) => {
      const { state } = rule.aggregate(updates, { rank: rankOf(rank), scale: SCALE });
      return [name, errorOf(state, updates).toPrecision(2)] as const;
    });
    tell(title, { fleet: kind.what, ...Object.fromEntries(errors) });
  }
}

const layers = blockLayers(4, 192, 768);
const title = "median ms of a merge, 4 blocks of 192 (inner 768), all 24 linear layers";
const sizes = [10, 80];
const usualFleet = { what: "shared start, drift 0.3", driftA: 0.3, driftB: 0.3, isTurned: false };
headings(
  title,
  sizes.map((count) => `${count} devices`),
);
for (const rule of Object.values(aggregators)) {
  const medians = sizes.map((count) => {
    const ranks = Array<number>(count).fill(8);
    const updates = syntheticFleet("speed", layers, ranks, usualFleet);
    if (rule.trainsA === false) shareA(updates);
    const times = Array.from({ length: REPEATS }, () => {
      const start = performance.now();
      rule.aggregate(updates, { rank: 8, scale: SCALE });
      return performance.now() - start;
    }).sort((x, y) => x - y);
    return [`${count} devices`, Math.round(times[REPEATS >> 1] ?? NaN)] as const;
  });
  tell(title, { rule: rule.name, ...Object.fromEntries(medians) });
}

/** Everyone has the A of the first device, as where A is not trained. */
function shareA(updates: readonly AdapterUpdate[]): void {
  for (const { modules } of updates.slice(1)) {
    modules.forEach(({ a }, l) => a.data.set(updates[0]?.modules[l]?.a.data ?? []));
  }
}
