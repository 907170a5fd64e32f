/** Vectors of 256 bits where V8 can make them of two of 128: asks for them, and measures whether that pays. */
import { setFlagsFromString } from "node:v8";
import type { Clock } from "../base/clock.ts";
import type { Kernels } from "./kernels.ts";
import type { LoadedKernels } from "./wasm.ts";

/** A module with a table of 64-bit indices: V8 takes it since it has the compiler that merges vectors. */
const recentModule = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 4, 4, 1, 0x70, 4, 0);

/** Versions of V8 that these kernels were tested on with merging: code that it does not expect ends the process. */
const testedVersions = ["13.6"];

/** Whether V8's merging is to be used: by default on versions it was tested on; `wish` ("256" or "128") decides otherwise. */
export function trustsMerging(v8Version: string, wish: string | undefined): boolean {
  if (wish === "256" || wish === "128") return wish === "256";
  return testedVersions.some((version) => v8Version.startsWith(`${version}.`));
}

/**
 * Lets V8 merge pairs of vectors in modules compiled from now on; false where it cannot or may not. Merging changes
 * no bit of a result. Only x64 has registers of that width. The environment's FEDSPINE_VECTORS is the wish.
 */
export function allowWideVectors(): boolean {
  const { arch, versions } = process;
  // A quirk of the machine, alike for every thread that loads kernels, and of no consequence for results.
  // eslint-disable-next-line no-restricted-properties
  const wish = process.env["FEDSPINE_VECTORS"];
  if (arch !== "x64" || !WebAssembly.validate(recentModule)) return false;
  if (!trustsMerging(versions.v8, wish)) return false;
  setFlagsFromString("--experimental-wasm-revectorize");
  return true;
}

/** Whether wide tiles pay, by variant: one process has one answer. */
const answers = new Map<string, boolean>();

/** Switches wide tiles on where {@link wideTilesPay}, and returns whether it did; measures once per process and variant. */
export function widenTiles(
  { kernels, memory, variant }: LoadedKernels,
  clock: Pick<Clock, "nowMs">,
): boolean {
  const isFaster = answers.get(variant) ?? wideTilesPay(kernels, memory, clock);
  answers.set(variant, isFaster);
  kernels.useWideTiles(isFaster ? 1 : 0);
  return isFaster;
}

/** One product with a panel of each width, small enough to be done by the calling thread alone. */
const [M, N, K] = [60, 32, 128] as const;
/** About 100 ms of computing. A count, so that a busy machine gets the time it needs. */
const MOST_CALLS = 3000;
/** Calls at first that V8's quickly made code surely runs. */
const BEGINNING_CALLS = 10;
/** The narrow tile gets at least so much faster once V8 has optimised it; in truth by 3.5 to 5. */
const OPTIMISED_GAIN = 2.5;
/** The wide tile is worth it when it is faster by this; in truth by 1.4 to 2. */
const LEAST_GAIN = 1.1;

/**
 * Whether wide tiles are faster here: times both in turn until V8 has optimised them. Works at the
 * start of the free memory and leaves narrow tiles switched on. The answer decides about time alone, not about bits.
 */
export function wideTilesPay(
  kernels: Kernels,
  memory: WebAssembly.Memory,
  clock: Pick<Clock, "nowMs">,
): boolean {
  const trial = new Trial(kernels, memory, clock);
  let [beginningMs, narrowMs, wideMs] = [Infinity, Infinity, Infinity];
  const isWideFaster = (): boolean => narrowMs > LEAST_GAIN * wideMs;
  for (let call = 0; call < MOST_CALLS; call++) {
    wideMs = Math.min(wideMs, trial.run(1));
    narrowMs = Math.min(narrowMs, trial.run(0));
    if (call < BEGINNING_CALLS) beginningMs = narrowMs;
    // The wide tile may have been optimised first: the narrow one must have been as well.
    if (beginningMs > OPTIMISED_GAIN * narrowMs && isWideFaster()) break;
  }
  return isWideFaster() && trial.tilesAgree();
}

/** One product to time, in memory. */
class Trial {
  readonly #kernels: Kernels;
  readonly #memory: WebAssembly.Memory;
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #a: number;

  constructor(kernels: Kernels, memory: WebAssembly.Memory, clock: Pick<Clock, "nowMs">) {
    this.#kernels = kernels;
    this.#memory = memory;
    this.#clock = clock;
    this.#a = Math.ceil(kernels.heapBase() / 64) * 64;
    new Float32Array(memory.buffer, this.#a, (M + N) * K).forEach((_, i, values) => {
      values[i] = ((i * 7) % 31) / 16 - 1;
    });
  }

  get #out(): number {
    return this.#a + 4 * (M + N) * K;
  }

  /** Milliseconds of one product. */
  run(isWide: 0 | 1): number {
    const [kernels, a, out] = [this.#kernels, this.#a, this.#out];
    kernels.useWideTiles(isWide);
    const startMs = this.#clock.nowMs();
    kernels.matmulNtF32(out, a, a + 4 * M * K, out + 4 * M * N, M, N, K, K, K, N, 1, 0);
    kernels.useWideTiles(0);
    return this.#clock.nowMs() - startMs;
  }

  tilesAgree(): boolean {
    const resultOf = (isWide: 0 | 1): Buffer => {
      this.run(isWide);
      return Buffer.from(this.#memory.buffer.slice(this.#out, this.#out + 4 * M * N));
    };
    return resultOf(0).equals(resultOf(1));
  }
}
