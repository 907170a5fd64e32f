/** Loads a kernel module: strict or fused SIMD, the checked debug build, or the plain reference. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { instantiateSync } from "@assemblyscript/loader";
import { KernelError } from "../base/errors.ts";
import type { Kernels } from "./kernels.ts";
import { createReferenceKernels } from "./reference.ts";

export type KernelVariant = "simd" | "relaxed" | "debug" | "reference";

export interface LoadOptions {
  /** `simd` (default) repeats bit for bit on every machine; `auto` takes `relaxed` where it can run. */
  readonly variant?: KernelVariant | "auto";
  /** Memory to work in; a module keeps constants below its `heapBase`, so never two modules in one. */
  readonly memory?: WebAssembly.Memory;
}

export interface LoadedKernels {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
  readonly variant: KernelVariant;
  /** Why this variant was chosen, in words for a status line. */
  readonly reason: string;
}

const pageBytes = 65536;
const maximumPages = 65536;

/** A growable memory of up to 4 GiB, as `loadKernels` makes one when none is given. */
export function createMemory(initialBytes = 16 * pageBytes): WebAssembly.Memory {
  const initial = Math.max(1, Math.ceil(initialBytes / pageBytes));
  return new WebAssembly.Memory({ initial, maximum: maximumPages });
}

/**
 * Instantiates a kernel set synchronously.
 * @throws KernelError when the module was not built or the requested variant cannot run here.
 */
export function loadKernels(options: LoadOptions = {}): LoadedKernels {
  const memory = options.memory ?? createMemory();
  const { variant, reason } = choose(options.variant ?? "simd");
  if (variant === "reference") {
    return { kernels: createReferenceKernels(memory), memory, variant, reason };
  }
  const module = new WebAssembly.Module(readModule(variant));
  const { instance } = instantiateSync(module, { env: { memory } });
  // The bare exports: the loader's own wrappers add an argument-count call to every kernel.
  return { kernels: instance.exports as unknown as Kernels, memory, variant, reason };
}

function choose(wanted: KernelVariant | "auto"): { variant: KernelVariant; reason: string } {
  switch (wanted) {
    case "reference":
      return { variant: "reference", reason: "plain TypeScript, as requested" };
    case "auto":
      if (runs("relaxed")) return { variant: "relaxed", reason: "fused multiply-add runs here" };
      requireRunnable("simd");
      return { variant: "simd", reason: "fused multiply-add does not run here" };
    default:
      requireRunnable(wanted);
      return { variant: wanted, reason: `${wanted}, as requested` };
  }
}

function requireRunnable(variant: "simd" | "relaxed" | "debug"): void {
  if (runs(variant)) return;
  throw new KernelError(`kernel module "${variant}" cannot run here`, {
    expected: variant === "relaxed" ? "WebAssembly with relaxed SIMD" : "WebAssembly with SIMD",
    got: `node ${process.versions.node} on ${process.arch}`,
    hint: variant === "relaxed" ? 'use the variant "simd"' : 'use the variant "reference"',
  });
}

/** Asks the engine itself, never a version number. */
function runs(variant: "simd" | "relaxed" | "debug"): boolean {
  const bytes = readModule(variant);
  if (WebAssembly.validate(bytes)) return true;
  if (variant !== "relaxed") return false;
  // Node 20 has the instructions behind a flag, which takes effect for modules compiled later.
  setFlagsFromString("--experimental-wasm-relaxed-simd");
  return WebAssembly.validate(bytes);
}

function readModule(variant: "simd" | "relaxed" | "debug"): Uint8Array<ArrayBuffer> {
  const url = new URL(`../../../build/kernels.${variant}.wasm`, import.meta.url);
  try {
    return new Uint8Array(readFileSync(url));
  } catch (cause) {
    throw new KernelError(`kernel module "${variant}" is missing`, {
      expected: url.pathname,
      hint: "run npm run build",
      cause,
    });
  }
}
