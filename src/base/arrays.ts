/** Plain arrays with a shape: what travels between files, messages, strategies and the engine. */

/** Row-major float32 data on the JavaScript side; `data.length` is the product of `shape`. */
export interface HostArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Tensors by full name, in a stable order. */
export type NamedArrays = Map<string, HostArray>;

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

export function hostArray(shape: readonly number[], data?: Float32Array): HostArray {
  return { shape, data: data ?? new Float32Array(sizeOf(shape)) };
}
