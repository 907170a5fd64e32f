/** How a device agent is run so that it stays small: what the launcher sets, and what can still be set when it did not. */
import { setFlagsFromString } from "node:v8";

/**
 * Its JavaScript does little, the kernels all the rest: collect garbage early, and compile functions when they are first
 * called. They are optimised all the same: without, a step of the bundled base takes a sixth longer, to save 5 MB.
 */
const LATE_FLAGS = ["--optimize-for-size", "--max-lazy"] as const;

/** For node, ahead of the script; bin/fedspine has the same. Measured one by one in docs/memory.md. */
export const DEVICE_FLAGS = [
  ...["--max-semi-space-size=1", "--v8-pool-size=1", "--single-threaded-gc", "--no-sparkplug"],
  ...LATE_FLAGS,
] as const;

/** For a broker and a coordinator: payloads that pass through are garbage at once, and a large young generation keeps them. */
export const RELAY_FLAGS = ["--max-semi-space-size=1"] as const;

/** One malloc arena for all threads, whose free end goes back to the system. */
export const SMALL_ENVIRONMENT = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_TRIM_THRESHOLD_: "131072",
} as const;

/** For an agent that was started without the launcher; imported first, for what is compiled by then stays. */
if (process.argv[2] === "device") {
  for (const flag of LATE_FLAGS) setFlagsFromString(flag);
}
