/** Compares every kernel with its plain twin on a few small cases: is this machine's module right? */
import { Rng } from "../base/rng.ts";
import {
  checkCases,
  type CheckArgument,
  type CheckBuffer,
  type CheckedKernel,
} from "./check-cases.ts";
import type { Kernels } from "./kernels.ts";

export interface CheckResult {
  readonly kernel: string;
  readonly cases: number;
  /** Largest |got - want| / max(1, |want|) of all results; Infinity for a trap or a stray write. */
  readonly maxError: number;
  readonly ok: boolean;
}

/** Sums of up to about a hundred f32 products of standard normals; a wrong kernel is off by 0.1 or more. */
const allowedError = 2e-5;
/** A tail alone, whole vectors alone, and both, in more than one block of the loops. */
const sizes = [3, 8, 37];
const gapBytes = 64;
const gapByte = 0xa7;
const pageBytes = 65536;
const seed = "self-check";

/**
 * Runs all kernels and their twins over the same seeded inputs. Works in pages that it adds to
 * `memory`, on which both `kernels` and `reference` were made, and leaves the rest untouched.
 */
export function selfCheck(
  kernels: Kernels,
  memory: WebAssembly.Memory,
  reference: Kernels,
): CheckResult[] {
  const room = new Room(memory);
  return Object.keys(checkCases).map((name) => {
    const kernel = name as CheckedKernel;
    const errors = sizes.map((n) => {
      const makeArguments = checkCases[kernel];
      const placed = room.place(makeArguments(n, kernels));
      return compare(room, placed, kernels[kernel], reference[kernel]);
    });
    const maxError = Math.max(...errors);
    return { kernel, cases: sizes.length, maxError, ok: maxError <= allowedError };
  });
}

interface Placed {
  readonly buffers: readonly { readonly spec: CheckBuffer; readonly address: number }[];
  /** The numbers to call with: addresses where the argument is a buffer. */
  readonly numbers: readonly number[];
  readonly end: number;
}

/** The part of linear memory that the check works in. */
class Room {
  readonly #memory: WebAssembly.Memory;
  readonly #start: number;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    this.#start = memory.buffer.byteLength;
  }

  /** Gives each buffer an address, off the alignment of vectors, with a gap before and behind. */
  place(args: readonly CheckArgument[]): Placed {
    let end = this.#start + gapBytes;
    const buffers: { spec: CheckBuffer; address: number }[] = [];
    const numbers = args.map((argument, i) => {
      if (typeof argument === "number") return argument;
      const address = end + 4 * (i % 4);
      buffers.push({ spec: argument, address });
      end = Math.ceil((address + byteLength(argument) + gapBytes) / 64) * 64;
      return address;
    });
    const missing = end - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / pageBytes));
    return { buffers, numbers, end };
  }

  /** Fills all buffers from the seed and the gaps with a pattern. */
  fill({ buffers, end }: Placed): void {
    new Uint8Array(this.#memory.buffer, this.#start, end - this.#start).fill(gapByte);
    const rng = Rng.fromSeed(seed);
    for (const { spec, address } of buffers) {
      const view = typedView(spec, this.#memory.buffer, address);
      for (let i = 0; i < view.length; i++) view[i] = spec.fill(rng, i);
    }
  }

  /** A copy of everything up to the end of the last gap. */
  snapshot({ buffers, end }: Placed): { buffer: ArrayBuffer; offset: number } {
    for (const { spec, address } of buffers) {
      // What is left in scratch is nobody's business.
      if (spec.type === "scratch") typedView(spec, this.#memory.buffer, address).fill(0);
    }
    return { buffer: this.#memory.buffer.slice(this.#start, end), offset: this.#start };
  }
}

function byteLength({ type, length }: CheckBuffer): number {
  if (type === "scratch") return length;
  return length * (type === "u16" ? 2 : 4);
}

function typedView(
  { type, length }: CheckBuffer,
  buffer: ArrayBuffer,
  address: number,
): Float32Array | Int32Array | Uint16Array | Uint8Array {
  switch (type) {
    case "f32":
      return new Float32Array(buffer, address, length);
    case "i32":
      return new Int32Array(buffer, address, length);
    case "u16":
      return new Uint16Array(buffer, address, length);
    case "scratch":
      return new Uint8Array(buffer, address, length);
  }
}

type AnyKernel = (...args: number[]) => unknown;

/** The error of one call, as CheckResult.maxError defines it. */
function compare(room: Room, placed: Placed, kernel: AnyKernel, twin: AnyKernel): number {
  const run = (callee: AnyKernel) => {
    room.fill(placed);
    const result = callee(...placed.numbers);
    return { result: typeof result === "number" ? result : 0, after: room.snapshot(placed) };
  };
  const want = run(twin);
  let got: ReturnType<typeof run>;
  try {
    got = run(kernel);
  } catch {
    return Infinity;
  }
  let worst = difference(got.result, want.result);
  for (const { spec, address } of placed.buffers) {
    const values = typedView(spec, got.after.buffer, address - got.after.offset);
    const twins = typedView(spec, want.after.buffer, address - want.after.offset);
    const isExact = spec.type !== "f32";
    for (let i = 0; i < values.length; i++) {
      const error = difference(values[i] as number, twins[i] as number);
      worst = Math.max(worst, isExact && error > 0 ? Infinity : error);
    }
    values.fill(0);
    twins.fill(0);
  }
  // With the buffers cleared only the gaps are left, where neither may have written.
  const stray = Buffer.compare(Buffer.from(got.after.buffer), Buffer.from(want.after.buffer)) !== 0;
  return stray ? Infinity : worst;
}

function difference(got: number, want: number): number {
  if (Object.is(got, want) || got === want) return 0;
  const error = Math.abs(got - want) / Math.max(1, Math.abs(want));
  return Number.isNaN(error) ? Infinity : error;
}
