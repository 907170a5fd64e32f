/** The type of a kernel set, derived from the built module so that code and kernels cannot drift apart. */
import type { instantiate } from "../../build/kernels.simd.js";

type ModuleExports = Awaited<ReturnType<typeof instantiate>>;

/**
 * Every kernel by name, as the WebAssembly module exports it: pointers are byte addresses into the
 * memory the set was made with, sizes and leading dimensions count elements.
 */
export type Kernels = Omit<ModuleExports, "memory">;

/** The twins of one assembly file: the kernels that take their names from `Names`. */
export type KernelSubset<Names extends keyof Kernels> = Pick<Kernels, Names>;
