/** `npm run bench [-- words]`: times kernels; a table on stderr, one JSON line per result on stdout. */
import benny from "benny";
import { KernelError } from "../src/base/errors.ts";
import { loadKernels, type LoadedKernels } from "../src/backend/wasm.ts";
import { benchCases, type BenchCase } from "./cases.ts";

interface BenchResult {
  readonly name: string;
  readonly shape: string;
  readonly target: string;
  readonly node: string;
  readonly unit: "gflops" | "ms";
  readonly median: number;
  readonly p10: number;
  readonly p90: number;
}

const options = { maxTime: 0.5, minSamples: 10, delay: 0.01 };

function loadTargets(): LoadedKernels[] {
  return (["simd", "relaxed"] as const).flatMap((variant) => {
    try {
      return [loadKernels({ variant })];
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      console.error(error.message);
      return [];
    }
  });
}

async function time(benchCase: BenchCase, set: LoadedKernels): Promise<BenchResult> {
  const { name, shape, gflop } = benchCase;
  const run = benchCase.prepare(set);
  const summary = await benny.suite(
    name,
    benny.add(name, () => run, options),
  );
  const seconds = (summary.results[0]?.details.sampleResults ?? []).toSorted((a, b) => a - b);
  const quantile = (share: number): number =>
    seconds[Math.round(share * (seconds.length - 1))] ?? NaN;
  const common = { name, shape, target: set.variant, node: process.versions.node };
  if (gflop === undefined) {
    const [p10, median, p90] = [0.1, 0.5, 0.9].map((share) => quantile(share) * 1e3) as Triple;
    return { ...common, unit: "ms", median, p10, p90 };
  }
  const [p10, median, p90] = [0.9, 0.5, 0.1].map((share) => gflop / quantile(share)) as Triple;
  return { ...common, unit: "gflops", median, p10, p90 };
}

type Triple = [number, number, number];

// Benny announces its suites through console.log; stdout is for results alone.
console.log = () => undefined;
const words = process.argv.slice(2);
const wanted = benchCases.filter(
  ({ name, shape }) =>
    words.length === 0 || words.some((word) => `${name} ${shape}`.includes(word)),
);
const targets = loadTargets();
console.error(
  ["kernel".padEnd(18), "shape".padEnd(34), ...targets.map((set) => set.variant.padEnd(14))].join(
    " ",
  ),
);
for (const benchCase of wanted) {
  const cells: string[] = [];
  for (const set of targets) {
    const result = await time(benchCase, set);
    process.stdout.write(`${JSON.stringify(result)}\n`);
    const unit = result.unit === "ms" ? "ms" : "GFLOP/s";
    cells.push(`${result.median.toFixed(result.unit === "ms" ? 3 : 1)} ${unit}`.padEnd(14));
  }
  console.error([benchCase.name.padEnd(18), benchCase.shape.padEnd(34), ...cells].join(" "));
}
