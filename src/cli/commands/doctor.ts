/** `fedspine doctor`: which kernels this machine runs, whether they compute what they should, and what it has. */
import { cpus, totalmem } from "node:os";
import { Command } from "commander";
import { ExitCode, KernelError } from "../../base/errors.ts";
import { createReferenceKernels } from "../../backend/reference.ts";
import { selfCheck } from "../../backend/self-check.ts";
import { countThreads } from "../../backend/threads/load.ts";
import { loadKernels, type KernelVariant } from "../../backend/wasm.ts";
import { threadsText } from "../open-engine.ts";
import { byteText, print, printJson } from "../output.ts";

interface Options {
  json?: boolean;
}

interface ModuleReport {
  /** With the number of threads where there are several. */
  readonly module: string;
  readonly runs: boolean;
  readonly reason: string;
  readonly kernels: number;
  readonly failed: readonly { kernel: string; maxError: number }[];
}

export function command(): Command {
  return new Command()
    .description("Check this machine: which kernel modules run and whether they are right")
    .option("--json", "one JSON line")
    .action(run);
}

function run(options: Options): void {
  const numThreads = countThreads("auto");
  const modules = [check("simd"), check("relaxed"), check("simd", Math.max(2, numThreads))];
  const chosen = loadKernels({ variant: "auto" });
  const isHealthy = modules.every(({ runs, failed }, i) => {
    // A machine without fused multiply-add or threads is healthy: the strict module on one thread serves it.
    return failed.length === 0 && (runs || i > 0);
  });
  const threads = modules.at(-1)?.runs === true ? numThreads : 1;
  const machine = {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
  };
  if (options.json === true) {
    const auto = { module: chosen.variant, reason: chosen.reason, threads };
    printJson({ ok: isHealthy, machine, modules, auto });
  } else {
    print(`node ${machine.node} on ${machine.platform}, ${machine.cpu}`);
    print(`${machine.cores} cores, ${byteText(machine.memoryBytes)} of memory`);
    modules.forEach((report) => print(reportLine(report)));
    print(`--kernels auto: ${chosen.variant} (${chosen.reason})`);
    print(`--threads auto: ${threads}`);
    print("--kernels simd is the default: it gives the same bits on every machine");
    print(isHealthy ? "all well" : "NOT WELL: do not train with a module that failed");
  }
  if (!isHealthy) process.exitCode = ExitCode.failed;
}

/** Compares every kernel of a module with its plain twin on a few shapes, each call shared out among the threads. */
function check(variant: KernelVariant, threads = 1): ModuleReport {
  const module = threads === 1 ? variant : `${variant} on ${threadsText(threads)}`;
  try {
    const set = loadKernels({ variant, threads, leastShareNs: 0 });
    const { kernels, memory, reason } = set;
    if (set.threads < threads) return { module, runs: false, reason, kernels: 0, failed: [] };
    const results = selfCheck(kernels, memory, createReferenceKernels(memory));
    set.dispose();
    const failed = results
      .filter(({ ok }) => !ok)
      .map(({ kernel, maxError }) => ({ kernel, maxError }));
    return { module, runs: true, reason, kernels: results.length, failed };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    return { module, runs: false, reason: error.message, kernels: 0, failed: [] };
  }
}

function reportLine({ module, runs, reason, kernels, failed }: ModuleReport): string {
  if (!runs) return `${module}: does not run here (${reason})`;
  if (failed.length === 0) return `${module}: ${kernels} kernels agree with their plain twins`;
  const names = failed.map(({ kernel, maxError }) => `${kernel} (${maxError.toExponential(1)})`);
  return `${module}: ${failed.length} of ${kernels} kernels are WRONG: ${names.join(", ")}`;
}
