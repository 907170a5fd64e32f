/** Typed windows onto linear memory; made per call, because growing the memory detaches them. */

/** `length` floats at byte address `pointer`, which is a multiple of 4. */
export function floats(memory: WebAssembly.Memory, pointer: number, length: number): Float32Array {
  return new Float32Array(memory.buffer, pointer, length);
}

/** `length` 32-bit integers at byte address `pointer`, which is a multiple of 4. */
export function integers(memory: WebAssembly.Memory, pointer: number, length: number): Int32Array {
  return new Int32Array(memory.buffer, pointer, length);
}

/** Valid counts per row within 0 to `most`; pointer 0 stands for `most` everywhere. */
export function validLengths(
  memory: WebAssembly.Memory,
  pointer: number,
  rows: number,
  most: number,
): number[] {
  if (pointer === 0) return Array.from({ length: rows }, () => most);
  return Array.from(integers(memory, pointer, rows), (count) => Math.max(0, Math.min(count, most)));
}

/** Row ranges [first, end) of packed sequences from their offsets i32 [B+1]; pointer 0: each has `most` rows. */
export function sequences(
  memory: WebAssembly.Memory,
  pointer: number,
  B: number,
  most = 0,
): { first: number; end: number }[] {
  const offsets =
    pointer === 0
      ? Int32Array.from({ length: B + 1 }, (_, b) => b * most)
      : integers(memory, pointer, B + 1);
  return Array.from({ length: B }, (_, b) => ({ first: at(offsets, b), end: at(offsets, b + 1) }));
}

/** Element `i`; indices come from the sizes a kernel was called with. */
export function at(values: Float32Array | Float64Array | Int32Array, i: number): number {
  return values[i] as number;
}
