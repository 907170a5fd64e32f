/** Random adapters and their dense meaning, for the tests of everything that handles updates. */
import type { AdapterState, LoraModule, Owned } from "../../src/base/adapter.ts";
import { type HostArray, hostArray, sizeOf } from "../../src/base/arrays.ts";
import type { Rng } from "../../src/base/rng.ts";
import type { AdapterUpdate } from "../../src/strategies/aggregation/aggregator.ts";

export interface LayerShape {
  readonly name: string;
  readonly numOutputs: number;
  readonly numInputs: number;
}

export const LAYERS: readonly LayerShape[] = [
  { name: "layers.0.query", numOutputs: 6, numInputs: 5 },
  { name: "layers.0.down", numOutputs: 4, numInputs: 9 },
];

export const HEAD = { name: "classifier.weight", shape: [3, 5] };

export function randomArray(rng: Rng, shape: readonly number[]): HostArray {
  return hostArray(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, () => rng.normal()),
  );
}

/** Unpruned adapter of every layer in `layers`, with normal entries. */
export function randomAdapter(rng: Rng, rank: number, scale = 2, layers = LAYERS): AdapterState {
  const modules = layers.map(({ name, numOutputs, numInputs }) => ({
    name,
    a: randomArray(rng, [rank, numInputs]),
    b: randomArray(rng, [numOutputs, rank]),
    scale,
  }));
  return { modules, heads: new Map([[HEAD.name, randomArray(rng, HEAD.shape)]]) };
}

export function randomUpdate(rng: Rng, deviceId: string, rank: number, scale = 2): AdapterUpdate {
  return { ...randomAdapter(rng, rank, scale), deviceId, numSamples: 1 + rng.int(50) };
}

/** What is left of an unpruned module when it keeps these rows or columns. */
export function prune(
  module: LoraModule,
  side: "rows" | "cols",
  indices: readonly number[],
): LoraModule {
  const { a, b } = module;
  const [rank = 0, inputs = 0] = a.shape;
  const owned: Owned = { indices, of: side === "rows" ? (b.shape[0] ?? 0) : inputs };
  if (side === "rows") {
    const left = indices.flatMap((row) => [...b.data.subarray(row * rank, (row + 1) * rank)]);
    return {
      ...module,
      b: hostArray([indices.length, rank], Float32Array.from(left)),
      rows: owned,
    };
  }
  const left = Array.from({ length: rank }, (_, r) =>
    indices.map((col) => a.data[r * inputs + col] as number),
  ).flat();
  return { ...module, a: hostArray([rank, indices.length], Float32Array.from(left)), cols: owned };
}

/** A random ascending choice of indices below `of`, at least one. */
export function randomIndices(rng: Rng, of: number, keep: number): number[] {
  return rng
    .shuffle([...Array(of).keys()])
    .slice(0, Math.max(1, Math.round(keep * of)))
    .sort((x, y) => x - y);
}

/** scale * B A in the coordinates of the unpruned layer, [out][in]. */
export function denseProduct(module: LoraModule): number[][] {
  const { a, b, scale, rows, cols } = module;
  const [rank, numCols] = a.shape as [number, number];
  const numRows = b.shape[0] as number;
  const dense = Array.from({ length: rows?.of ?? numRows }, () =>
    new Array<number>(cols?.of ?? numCols).fill(0),
  );
  for (let o = 0; o < numRows; o++) {
    for (let i = 0; i < numCols; i++) {
      let sum = 0;
      for (let r = 0; r < rank; r++)
        sum += (b.data[o * rank + r] as number) * (a.data[r * numCols + i] as number);
      (dense[place(rows, o)] as number[])[place(cols, i)] = scale * sum;
    }
  }
  return dense;
}

export function moduleNamed(state: AdapterState, name: string): LoraModule {
  const found = state.modules.find((module) => module.name === name);
  if (found === undefined) throw new RangeError(`no module ${name}`);
  return found;
}

/** Largest absolute difference of two matrices, over the largest absolute entry of the second. */
export function relativeDistance(got: readonly number[][], want: readonly number[][]): number {
  let difference = 0;
  let largest = 1e-30;
  want.forEach((row, o) =>
    row.forEach((value, i) => {
      difference = Math.max(difference, Math.abs(value - (got[o]?.[i] ?? Number.NaN)));
      largest = Math.max(largest, Math.abs(value));
    }),
  );
  return difference / largest;
}

function place(owned: Owned | undefined, index: number): number {
  return owned === undefined ? index : (owned.indices[index] as number);
}
