/** A linear layer's weights with its adapter folded in, a few rows at a time, and sums over the units in them. */
import { LoraPair } from "../../lora/lora.ts";
import type { Engine } from "../../tensor/engine.ts";
import { isStored, storageOf } from "../../tensor/storage/storages.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { UnitLinear } from "./unit-linears.ts";

/** Rows [first, first + count) of a weight W + s B A as f32 at address `values`, `cols` to a row. */
export interface WeightRows {
  readonly first: number;
  readonly count: number;
  readonly cols: number;
  readonly values: number;
}

/** The pair that is attached to the layer; null for none. */
export function pairOf({ linear }: UnitLinear): LoraPair | null {
  return linear.adapter instanceof LoraPair ? linear.adapter : null;
}

/** Rows that are held at a time: enough for the matrix product to be quick, few beside the activations of a step. */
const ROWS = 64;

/** Walks over the rows in parts that hold whole units; what `action` leaves in the step region is gone after it. */
export function forEachRows(
  engine: Engine,
  unitLinear: UnitLinear,
  action: (rows: WeightRows) => void,
): void {
  const { linear, side, span } = unitLinear;
  const { tensor } = linear.weight;
  const unitRows = side === "rows" ? span.size : 1;
  const step = unitRows * Math.max(1, Math.floor(ROWS / unitRows));
  const pair = pairOf(unitLinear);
  for (let first = 0; first < tensor.rows; first += step) {
    const count = Math.min(step, tensor.rows - first);
    engine.step(() => {
      const at = numbersAt(engine, tensor, first, count);
      const values = pair === null ? at : folded(engine, at, first, count, pair);
      action({ first, count, cols: tensor.cols, values });
    });
  }
}

/** Address of rows of a weight as f32: where they lie, or what a weight in fewer bits stands for. */
function numbersAt(engine: Engine, weight: Tensor, first: number, count: number): number {
  if (!isStored(weight)) return weight.ptr + 4 * first * weight.cols;
  const rows = engine.empty([count, weight.cols]);
  storageOf(weight).decodeRows(engine, weight, first, count, rows.ptr);
  return rows.ptr;
}

/** out[M, N] (+)= alpha a[M, K] b[K, N], all dense, at addresses. */
export function multiply(
  engine: Engine,
  out: number,
  a: number,
  b: number,
  [M, N, K]: readonly [number, number, number],
  { alpha = 1, accumulate = false }: { alpha?: number; accumulate?: boolean } = {},
): void {
  const { kernels } = engine;
  const scratch = engine.scratch(kernels.matmulScratchBytes(M, N, K));
  kernels.matmulNnF32(out, a, b, scratch, M, N, K, K, N, N, alpha, accumulate ? 1 : 0);
}

/** Which of the sums of unit-scores.ts. */
type UnitSum = (out: number, B: number, T: number, U: number, S: number) => void;

/**
 * Adds to `sums`, one number per unit of the layer, what `sum` gives for its elements among these rows. Units of
 * rows lie one below the other, units of columns side by side.
 */
export function addUnitSums(
  engine: Engine,
  sums: Float64Array,
  { side, span }: UnitLinear,
  { first, count, cols }: Pick<WeightRows, "first" | "count" | "cols">,
  sum: UnitSum,
): void {
  const { size } = span;
  const units = side === "rows" ? count / size : cols / size;
  const out = engine.empty([units]);
  if (side === "rows") sum(out.ptr, units, size, 1, cols);
  else sum(out.ptr, 1, count, units, size);
  const firstUnit = side === "rows" ? first / size : 0;
  out.f32.forEach((value, i) => {
    sums[firstUnit + i] = (sums[firstUnit + i] ?? 0) + value;
  });
}

function folded(
  engine: Engine,
  weight: number,
  first: number,
  count: number,
  { a, b, scale }: LoraPair,
): number {
  const out = engine.empty([count, a.cols]);
  engine.kernels.copyF32(out.ptr, weight, out.size);
  const rowsOfB = b.ptr + 4 * first * b.cols;
  multiply(engine, out.ptr, rowsOfB, a.ptr, [count, a.cols, a.rows], {
    alpha: scale,
    accumulate: true,
  });
  return out.ptr;
}
