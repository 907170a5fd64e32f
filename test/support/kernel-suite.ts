/** Runs kernels against their twins: drawn sizes, guarded buffers, every variant that runs here. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Kernels } from "../../src/backend/kernels.ts";
import { loadKernels, type KernelVariant, type LoadedKernels } from "../../src/backend/wasm.ts";
import { KernelError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";

/**
 * What the drawn values look like: standard normals times 1, 1e15 or 1e-20 with some zeros, or
 * normals sprinkled with infinities and NaN.
 */
export type Regime = "normal" | "large" | "tiny" | "special";

const magnitudes: Record<Regime, number> = { normal: 1, large: 1e15, tiny: 1e-20, special: 1 };

export interface BufferSpec {
  /** `in` must stay as it is; `out` starts as garbage; `scratch` is guarded but not compared. */
  readonly role: "in" | "out" | "inout" | "scratch";
  readonly type?: "f32" | "i32" | "u16";
  /** In elements; for `scratch` of type f32, bytes / 4 rounded up. */
  readonly length: number;
  /** The value of one element; values of the regime when absent (u16: any bits, i32: required). */
  readonly fill?: (rng: Rng, index: number) => number;
}

export interface Tolerance {
  readonly relative?: number;
  readonly absolute?: number;
}

/** One claim about one kernel; `Name` are the names of its buffers, taken from `buffers`. */
export interface KernelCase<Sizes, Name extends string> {
  /** What is claimed, as a sentence: "geluF32 works in place". */
  readonly name: string;
  readonly sizes: fc.Arbitrary<Sizes>;
  /** The kernels are there to ask for the size of a scratch buffer. */
  readonly buffers: (sizes: Sizes, kernels: Kernels) => Record<Name, BufferSpec>;
  /** Calls the kernel with the byte addresses of the buffers; a returned number is compared too. */
  readonly call: (kernels: Kernels, at: Record<Name, number>, sizes: Sizes) => unknown;
  /** Allowed |got - want| is absolute + relative * |want|; `magnitude` is the size of the inputs. */
  readonly tolerance?: (sizes: Sizes, magnitude: number) => Tolerance;
  /** All four when absent. */
  readonly regimes?: readonly Regime[];
  /** Sizes to try besides the drawn ones. */
  readonly examples?: readonly Sizes[];
  readonly runs?: number;
}

/** Draws a side from `min` to `max`, half of the time at most 9, so that tails get their share. */
export function side(max = 40, min = 0): fc.Arbitrary<number> {
  return fc.oneof(fc.integer({ min, max: Math.max(min, 9) }), fc.integer({ min, max }));
}

/** Registers one test that holds every variant's kernel against the reference twin. */
export function testKernel<Sizes, Name extends string>(kernelCase: KernelCase<Sizes, Name>): void {
  test(kernelCase.name, () => {
    const property = fc.property(
      kernelCase.sizes,
      fc.constantFrom(...(kernelCase.regimes ?? (["normal", "large", "tiny", "special"] as const))),
      fc.integer({ min: 0, max: 0xffff }),
      (sizes, regime, seed) => compareOnce(kernelCase, sizes, regime, seed),
    );
    const examples = (kernelCase.examples ?? []).map((sizes): [Sizes, Regime, number] => [
      sizes,
      kernelCase.regimes?.[0] ?? "normal",
      1,
    ]);
    fc.assert(property, { seed: 7, numRuns: kernelCase.runs ?? 100, examples });
  });
}

/** The variants that run on this machine; each is instantiated once per test file. */
export function runnableVariants(): LoadedKernels[] {
  loaded ??= (["simd", "relaxed", "debug"] as const).flatMap((variant) => tryLoad(variant));
  return loaded;
}

let loaded: LoadedKernels[] | undefined;
let twins: LoadedKernels | undefined;

function tryLoad(variant: KernelVariant): LoadedKernels[] {
  try {
    return [loadKernels({ variant })];
  } catch (error) {
    if (error instanceof KernelError && variant === "relaxed") return [];
    throw error;
  }
}

const guardBytes = 64;
const guardByte = 0xc5;
const garbageByte = 0xff;

interface Placed {
  readonly name: string;
  readonly spec: BufferSpec;
  readonly address: number;
  readonly bytes: number;
  readonly before: Uint8Array;
}

function compareOnce<Sizes, Name extends string>(
  { buffers, call, tolerance, name }: KernelCase<Sizes, Name>,
  sizes: Sizes,
  regime: Regime,
  seed: number,
): void {
  const allowed = tolerance?.(sizes, magnitudes[regime]) ?? { relative: 1e-6 };
  twins ??= loadKernels({ variant: "reference" });
  const run = (set: LoadedKernels): { placed: Placed[]; result: unknown } => {
    const specs = Object.entries<BufferSpec>(buffers(sizes, set.kernels));
    const placed = place(set, specs, regime, Rng.fromSeed(seed));
    const at = Object.fromEntries(placed.map((buffer) => [buffer.name, buffer.address])) as Record<
      Name,
      number
    >;
    return { placed, result: call(set.kernels, at, sizes) };
  };
  const want = run(twins);
  for (const set of runnableVariants()) {
    const got = run(set);
    const where = `${name} (${set.variant}, ${regime}, seed ${seed}, ${JSON.stringify(sizes)})`;
    if (typeof want.result === "number") {
      checkValue(Number(got.result), want.result, allowed, `${where}: result`);
    }
    got.placed.forEach((buffer, i) => {
      const twin = want.placed[i] as Placed;
      checkGuards(set.memory, buffer, where);
      if (buffer.spec.role === "in") checkUnchanged(set.memory, buffer, where);
      else if (buffer.spec.role !== "scratch") {
        checkBuffer(set.memory, buffer, (twins as LoadedKernels).memory, twin, allowed, where);
      }
    });
  }
}

/** Lays the buffers out from the heap base, each off alignment by a few elements, and fills them. */
function place(
  { kernels, memory }: LoadedKernels,
  specs: [string, BufferSpec][],
  regime: Regime,
  rng: Rng,
): Placed[] {
  let top = Math.ceil(kernels.heapBase() / 64) * 64;
  const layout = specs.map(([name, spec]) => {
    const elementBytes = spec.type === "u16" ? 2 : 4;
    const address = top + guardBytes + elementBytes * rng.int(16);
    const bytes = spec.length * elementBytes;
    top = Math.ceil((address + bytes + guardBytes) / 64) * 64;
    return { name, spec, address, bytes };
  });
  const missing = top - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  return layout.map((buffer) => {
    const zone = new Uint8Array(memory.buffer, buffer.address - guardBytes, guardBytes);
    zone.fill(guardByte);
    new Uint8Array(memory.buffer, buffer.address + buffer.bytes, guardBytes).fill(guardByte);
    const content = new Uint8Array(memory.buffer, buffer.address, buffer.bytes).fill(garbageByte);
    if (buffer.spec.role === "in" || buffer.spec.role === "inout") {
      fillValues(memory, buffer.address, buffer.spec, regime, rng);
    }
    return { ...buffer, before: content.slice() };
  });
}

function fillValues(
  memory: WebAssembly.Memory,
  address: number,
  { type = "f32", length, fill }: BufferSpec,
  regime: Regime,
  rng: Rng,
): void {
  const view = new DataView(memory.buffer);
  for (let i = 0; i < length; i++) {
    if (type === "f32") {
      view.setFloat32(address + 4 * i, fill?.(rng, i) ?? drawValue(regime, rng), true);
    } else if (type === "u16") {
      view.setUint16(address + 2 * i, fill?.(rng, i) ?? rng.int(65536), true);
    } else {
      assert.ok(fill, "an i32 input buffer needs a fill");
      view.setInt32(address + 4 * i, fill(rng, i), true);
    }
  }
}

function drawValue(regime: Regime, rng: Rng): number {
  const kind = rng.int(40);
  if (kind === 0) return 0;
  if (kind === 1) return -0;
  if (regime === "special" && kind < 5) return [Infinity, -Infinity, NaN][kind - 2] as number;
  return rng.normal() * magnitudes[regime];
}

function checkGuards(memory: WebAssembly.Memory, buffer: Placed, where: string): void {
  for (const start of [buffer.address - guardBytes, buffer.address + buffer.bytes]) {
    const zone = new Uint8Array(memory.buffer, start, guardBytes);
    const at = zone.findIndex((byte) => byte !== guardByte);
    assert.equal(
      at,
      -1,
      `${where}: wrote outside ${buffer.name}, at ${start + at - buffer.address}`,
    );
  }
}

function checkUnchanged(memory: WebAssembly.Memory, buffer: Placed, where: string): void {
  const now = new Uint8Array(memory.buffer, buffer.address, buffer.bytes);
  assert.ok(Buffer.compare(now, buffer.before) === 0, `${where}: changed its input ${buffer.name}`);
}

function checkBuffer(
  memory: WebAssembly.Memory,
  buffer: Placed,
  twinMemory: WebAssembly.Memory,
  twin: Placed,
  allowed: Tolerance,
  where: string,
): void {
  const { type = "f32", length } = buffer.spec;
  const got = new DataView(memory.buffer, buffer.address, buffer.bytes);
  const want = new DataView(twinMemory.buffer, twin.address, twin.bytes);
  for (let i = 0; i < length; i++) {
    const place = `${where}: ${buffer.name}[${i}]`;
    if (type === "u16")
      assert.equal(got.getUint16(2 * i, true), want.getUint16(2 * i, true), place);
    // Garbage that the twin leaves alone, such as the gap between strided rows, must be left alone.
    else if (type === "i32" || want.getInt32(4 * i, true) === -1) {
      assert.equal(got.getInt32(4 * i, true), want.getInt32(4 * i, true), place);
    } else checkValue(got.getFloat32(4 * i, true), want.getFloat32(4 * i, true), allowed, place);
  }
}

/** Room for the last bits of subnormal numbers, whatever the tolerance of the case. */
const subnormalSlack = 1e-42;

function checkValue(got: number, want: number, allowed: Tolerance, place: string): void {
  if (Object.is(got, want) || got === want) return;
  const slack = (allowed.absolute ?? 0) + (allowed.relative ?? 0) * Math.abs(want) + subnormalSlack;
  if (Number.isFinite(want) && Math.abs(got - want) <= slack) return;
  assert.fail(`${place}: got ${got}, the twin has ${want}`);
}
