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

/** Element `i`; indices come from the sizes a kernel was called with. */
export function at(values: Float32Array | Float64Array | Int32Array, i: number): number {
  return values[i] as number;
}
