/** Loads a kernel module: strict or fused SIMD, the checked debug build, or the plain reference. */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { instantiateSync } from "@assemblyscript/loader";
import { systemClock, type Clock } from "../base/clock.ts";
import { KernelError } from "../base/errors.ts";
import type { Kernels } from "./kernels.ts";
import { createReferenceKernels } from "./reference.ts";
import { countThreads, loadThreaded, type ThreadChoice } from "./threads/load.ts";
import { allowWideVectors, widenTiles } from "./wide-tiles.ts";

export type KernelVariant = "simd" | "relaxed" | "debug" | "reference";

export interface LoadOptions {
  /** `simd` (default) repeats bit for bit on every machine; `auto` takes `relaxed` where it can run. */
  readonly variant?: KernelVariant | "auto";
  /** Memory to work in; a module keeps constants below its `heapBase`, so never two modules in one. */
  readonly memory?: WebAssembly.Memory;
  /** Threads to compute on, 1 by default; the results have the same bits for any number. */
  readonly threads?: ThreadChoice;
  /** Least estimated time of a share that is handed to another thread; 0 shares out every call, for checks. */
  readonly leastShareNs?: number;
  /** Vectors of 256 bits where they are faster (default), or never; the results have the same bits. */
  readonly wideTiles?: "auto" | "never";
  /** Times tiles of either width, by default with the system's clock. */
  readonly clock?: Pick<Clock, "nowMs">;
}

export interface LoadedKernels {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
  readonly variant: KernelVariant;
  /** Why this variant was chosen, in words for a status line; and why threads that were asked for are not there. */
  readonly reason: string;
}

/** A set that may have threads beside the calling one. */
export interface StartedKernels extends LoadedKernels {
  readonly threads: number;
  /** Ends the threads beside the calling one, on which the kernels then run alone. */
  readonly dispose: () => void;
}

const pageBytes = 65536;
const maximumPages = 65536;

/** A growable memory of up to 4 GiB, as `loadKernels` makes one when none is given. */
export function createMemory(initialBytes = 16 * pageBytes): WebAssembly.Memory {
  const initial = Math.max(1, Math.ceil(initialBytes / pageBytes));
  return new WebAssembly.Memory({ initial, maximum: maximumPages });
}

/**
 * Instantiates a kernel set synchronously. Where several threads were asked for and cannot be had, it
 * takes one and says so in `reason`.
 * @throws KernelError when the module was not built or the requested variant cannot run here.
 */
export function loadKernels(options: LoadOptions = {}): StartedKernels {
  // V8 heeds the flag for modules that are compiled later.
  const mayWiden = options.wideTiles !== "never" && allowWideVectors();
  const set = start(options);
  // A memory of the caller's may hold something; the other variants have no use for them.
  const isOurs = options.memory === undefined && ["simd", "relaxed"].includes(set.variant);
  if (!mayWiden || !isOurs || !widenTiles(set, options.clock ?? systemClock)) return set;
  return { ...set, reason: `${set.reason}; vectors of 256 bits` };
}

function start(options: LoadOptions): StartedKernels {
  const { variant, reason } = choose(options.variant ?? "simd");
  const threads = countThreads(options.threads ?? 1);
  if (threads === 1) return loadAlone(variant, reason, options.memory);
  try {
    const module = new WebAssembly.Module(readThreadedModule(variant));
    const set = loadThreaded(module, threads, options);
    return { ...set, variant, reason, threads };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const [cause] = error.message.split("\n");
    return loadAlone(variant, `${reason}; on one thread (${cause})`, options.memory);
  }
}

function loadAlone(
  variant: KernelVariant,
  reason: string,
  memory = createMemory(),
): StartedKernels {
  const set = { memory, variant, reason, threads: 1, dispose: () => undefined };
  if (variant === "reference") return { ...set, kernels: createReferenceKernels(memory) };
  const module = new WebAssembly.Module(readModule(variant));
  const { instance } = instantiateSync(module, { env: { memory } });
  // The bare exports: the loader's own wrappers add an argument-count call to every kernel.
  return { ...set, kernels: instance.exports as unknown as Kernels };
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

function readThreadedModule(variant: KernelVariant): Uint8Array<ArrayBuffer> {
  if (variant === "simd" || variant === "relaxed") return readModule(`${variant}.threads`);
  throw new KernelError(`the ${variant} kernels have no threads`);
}

function readModule(
  module: "simd" | "relaxed" | "debug" | "simd.threads" | "relaxed.threads",
): Uint8Array<ArrayBuffer> {
  const url = new URL(`../../../build/kernels.${module}.wasm`, import.meta.url);
  try {
    return new Uint8Array(readFileSync(url));
  } catch (cause) {
    throw new KernelError(`kernel module "${module}" is missing`, {
      expected: url.pathname,
      hint: "run npm run build",
      cause,
    });
  }
}
