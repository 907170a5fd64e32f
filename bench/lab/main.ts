/** Compares kernel sources that differ in a text substitution, interleaved: see README.md beside it. */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createMemory, loadKernels, type LoadedKernels } from "../../src/backend/wasm.ts";
import type { Kernels } from "../../src/backend/kernels.ts";
import { KernelError } from "../../src/base/errors.ts";
import { benchCases, type BenchCase } from "../cases.ts";

/** What is used of the compiler. */
interface Compiler {
  main(
    args: readonly string[],
    files: {
      readFile(name: string): string | null;
      writeFile(name: string, contents: string | Uint8Array): void;
      listFiles(): string[];
      stderr: { write(text: string | Uint8Array): void };
    },
  ): Promise<{ error: Error | null }>;
}

// By a name that tsc does not follow: the package's typings declare AssemblyScript's globals, whose
// Array.at never gives undefined, and would weaken the checks of the whole project.
const compilerName = "assemblyscript/asc";
const { default: asc } = (await import(compilerName)) as { default: Compiler };

interface Candidate {
  readonly name: string;
  readonly set: LoadedKernels;
}

const root = new URL("../../../", import.meta.url);
const rounds = 15;
/** A round repeats a case until it has run this long, so that the clock's step does not show. */
const roundMs = 4;

/** Compiles the kernels with the options of asconfig.json after `from` was replaced by `to`. */
async function compile(target: "simd" | "relaxed", from: string, to: string): Promise<Uint8Array> {
  let replaced = 0;
  let binary: Uint8Array | undefined;
  const log: string[] = [];
  const { error } = await asc.main(
    ["assembly/index.ts", "--config", "asconfig.json", "--target", target],
    {
      readFile(name) {
        try {
          const text = readFileSync(new URL(name, root), "utf8");
          replaced += text.split(from).length - 1;
          return text.replaceAll(from, to);
        } catch {
          return null;
        }
      },
      writeFile(name, contents) {
        if (name.endsWith(".wasm") && contents instanceof Uint8Array) binary = contents;
      },
      listFiles: () => [],
      stderr: { write: (text: string | Uint8Array) => log.push(String(text)) },
    },
  );
  if (error !== null || binary === undefined || replaced === 0) {
    throw new KernelError(`"${from}" -> "${to}" does not compile`, {
      expected: "a text that occurs in assembly/",
      got: `${replaced} occurrences\n${log.join("")}`,
    });
  }
  return binary;
}

async function candidate(target: "simd" | "relaxed", change: string): Promise<Candidate> {
  const [from = "", to = ""] = change.split("=>").map((part) => part.trim());
  const binary = await compile(target, from, to);
  const memory = createMemory();
  const module = new WebAssembly.Module(binary);
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const kernels = exports as unknown as Kernels;
  return { name: to, set: { kernels, memory, variant: target, reason: change } };
}

/** Milliseconds of processor time per run: other work on the machine disturbs it less than the clock. */
function timeMs(run: () => void, repeats: number): number {
  const start = process.cpuUsage();
  for (let i = 0; i < repeats; i++) run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e3 / repeats;
}

function compare(benchCase: BenchCase, candidates: readonly Candidate[]): string {
  const runs = candidates.map(({ set }) => benchCase.prepare(set));
  const repeats = runs.map((run) => {
    timeMs(run, 20);
    return Math.ceil(roundMs / Math.max(timeMs(run, 5), 1e-3));
  });
  const best = runs.map(() => Infinity);
  for (let round = 0; round < rounds; round++) {
    runs.forEach((run, i) => {
      best[i] = Math.min(best[i] ?? Infinity, timeMs(run, repeats[i] ?? 1));
    });
  }
  const cells = best.map((ms) => {
    const text = benchCase.gflop === undefined ? `${ms.toFixed(4)} ms` : rate(benchCase.gflop, ms);
    return text.padStart(18);
  });
  return `${`${benchCase.name} ${benchCase.shape}`.padEnd(52)}${cells.join("")}`;
}

const rate = (gflop: number, ms: number): string => `${((gflop * 1e3) / ms).toFixed(1)} GFLOP/s`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    relaxed: { type: "boolean", default: false },
    change: { type: "string", multiple: true, default: [] },
  },
});
const target = values.relaxed ? "relaxed" : "simd";
const candidates: Candidate[] = [{ name: "as it is", set: loadKernels({ variant: target }) }];
for (const change of values.change) candidates.push(await candidate(target, change));
console.log(target.padEnd(52) + candidates.map(({ name }) => name.padStart(18)).join(""));
for (const benchCase of benchCases) {
  const label = `${benchCase.name} ${benchCase.shape}`;
  if (positionals.length > 0 && !positionals.some((word) => label.includes(word))) continue;
  console.log(compare(benchCase, candidates));
}
