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

/** The chosen rows of a matrix, or elements of a vector. */
export function takeRows({ shape, data }: HostArray, rows: readonly number[]): HostArray {
  const [, ...rest] = shape;
  const width = sizeOf(rest);
  const out = hostArray([rows.length, ...rest]);
  rows.forEach((row, k) => out.data.set(data.subarray(row * width, (row + 1) * width), k * width));
  return out;
}

/** The chosen columns of a matrix. */
export function takeCols({ shape, data }: HostArray, cols: readonly number[]): HostArray {
  const [height = 0, width = 0] = shape;
  const out = hostArray([height, cols.length]);
  for (let row = 0; row < height; row++) {
    cols.forEach((col, k) => {
      out.data[row * cols.length + k] = data[row * width + col] as number;
    });
  }
  return out;
}
