/** `fedspine doctor`: which kernels this machine runs, whether they compute what they should, and what it has. */
import { cpus, totalmem } from "node:os";
import { Command } from "commander";
import { ExitCode, KernelError } from "../../base/errors.ts";
import { createReferenceKernels } from "../../backend/reference.ts";
import { selfCheck } from "../../backend/self-check.ts";
import { loadKernels, type KernelVariant } from "../../backend/wasm.ts";
import { byteText, print, printJson } from "../output.ts";

interface Options {
  json?: boolean;
}

interface ModuleReport {
  readonly module: KernelVariant;
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
  const modules = (["simd", "relaxed"] as const).map(check);
  const chosen = loadKernels({ variant: "auto" });
  const isHealthy = modules.every(({ runs, failed, module }) => {
    // A machine without fused multiply-add is healthy: the strict module serves it.
    return failed.length === 0 && (runs || module === "relaxed");
  });
  const machine = {
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
  };
  if (options.json === true) {
    const auto = { module: chosen.variant, reason: chosen.reason };
    printJson({ ok: isHealthy, machine, modules, auto });
  } else {
    print(`node ${machine.node} on ${machine.platform}, ${machine.cpu}`);
    print(`${machine.cores} cores, ${byteText(machine.memoryBytes)} of memory`);
    modules.forEach((report) => print(reportLine(report)));
    print(`--kernels auto: ${chosen.variant} (${chosen.reason})`);
    print("--kernels simd is the default: it gives the same bits on every machine");
    print(isHealthy ? "all well" : "NOT WELL: do not train with a module that failed");
  }
  if (!isHealthy) process.exitCode = ExitCode.failed;
}

/** Compares every kernel of a module with its plain twin on a few shapes. */
function check(module: "simd" | "relaxed"): ModuleReport {
  try {
    const { kernels, memory, reason } = loadKernels({ variant: module });
    const results = selfCheck(kernels, memory, createReferenceKernels(memory));
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
