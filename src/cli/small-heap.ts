/** Imported first by the command line: a device agent keeps JavaScript's own memory small, measured in docs/memory.md. */
import { setFlagsFromString } from "node:v8";

/**
 * Its JavaScript does little, the kernels all the rest: collect garbage early, compile functions when they are first
 * called, and optimise only what runs very long (the optimiser's own memory never comes back).
 */
const SMALL_HEAP = ["--optimize-for-size", "--max-lazy", "--interrupt-budget=2000000"] as const;

/** Must run before much else is loaded: what is compiled by then stays. */
export function keepHeapSmall(): void {
  for (const flag of SMALL_HEAP) setFlagsFromString(flag);
}

if (process.argv[2] === "device") keepHeapSmall();
