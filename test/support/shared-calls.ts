/** Calls a kernel with the arguments of the self-check and keeps the bytes of what it left behind. */
import { Rng } from "../../src/base/rng.ts";
import type { CheckArgument, CheckBuffer } from "../../src/backend/check-cases.ts";
import type { Kernels } from "../../src/backend/kernels.ts";

export interface KernelSet {
  readonly kernels: Kernels;
  readonly memory: WebAssembly.Memory;
}

const elementBytes: Readonly<Record<string, number>> = { f32: 4, i32: 4, u16: 2 };
const gapBytes = 64;

/**
 * The contents of all buffers but scratch after one call, in hexadecimal. `change` may make numbers among
 * the arguments smaller; buffers are filled from the seed, with 64 bytes of zeros behind each.
 */
export function bytesAfterCall(
  { kernels, memory }: KernelSet,
  name: string,
  args: readonly CheckArgument[],
  seed: number,
  change: (numbers: number[]) => void = () => undefined,
): string[] {
  const rng = Rng.fromSeed(seed);
  let top = Math.ceil(kernels.heapBase() / 64) * 64;
  const buffers: { spec: CheckBuffer; address: number; bytes: number }[] = [];
  const numbers = args.map((argument) => {
    if (typeof argument === "number") return argument;
    const bytes = argument.length * (elementBytes[argument.type] ?? 1);
    const address = top;
    top = Math.ceil((address + bytes + gapBytes) / 64) * 64;
    buffers.push({ spec: argument, address, bytes });
    return address;
  });
  const missing = top - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  for (const { spec, address, bytes } of buffers) {
    new Uint8Array(memory.buffer, address, bytes + gapBytes).fill(0);
    fill(new DataView(memory.buffer, address, bytes), spec, rng);
  }
  change(numbers);
  (kernels as unknown as Record<string, (...args: number[]) => unknown>)[name]?.(...numbers);
  return buffers
    .filter(({ spec }) => spec.type !== "scratch")
    .map(({ address, bytes }) =>
      Buffer.from(new Uint8Array(memory.buffer, address, bytes + gapBytes).slice()).toString("hex"),
    );
}

function fill(view: DataView, { type, length, fill: draw }: CheckBuffer, rng: Rng): void {
  for (let i = 0; i < length; i++) {
    if (type === "f32") view.setFloat32(4 * i, draw(rng, i), true);
    else if (type === "i32") view.setInt32(4 * i, draw(rng, i), true);
    else if (type === "u16") view.setUint16(2 * i, draw(rng, i), true);
  }
}
