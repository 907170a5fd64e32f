/** What a number format of a frozen weight has to be able to do; one file beside this for each. */
import type { BaseDtype } from "../../base/base-dtype.ts";
import type { Engine } from "../engine.ts";
import type { Tensor } from "../tensor.ts";

export type StoredDtype = Exclude<BaseDtype, "f32">;

/** A matrix product with a stored weight as its second operand. */
export interface StoredProduct {
  /** "Nt" a wᵀ, the forward product of a layer; "Nn" a w, the gradient of its input. */
  readonly kind: "Nt" | "Nn";
  readonly out: Tensor;
  readonly a: Tensor;
  readonly weight: Tensor;
  readonly alpha: number;
  readonly accumulate: boolean;
}

/** A weight [rows, cols] lies row-major: all values, and behind them the scales of row after row. */
export interface Storage {
  readonly dtype: StoredDtype;
  valueBytesPerRow(cols: number): number;
  scaleBytesPerRow(cols: number): number;
  /** Stores rows from `first` on, which lie as f32 at address `values`. */
  encodeRows(engine: Engine, weight: Tensor, first: number, count: number, values: number): void;
  /** Writes rows from `first` on as f32 to address `out`. */
  decodeRows(engine: Engine, weight: Tensor, first: number, count: number, out: number): void;
  multiply(engine: Engine, product: StoredProduct): void;
  /** Moves the columns at ascending indices together, and the scales to where those of the narrower weight lie. */
  keepCols(engine: Engine, weight: Tensor, cols: readonly number[]): void;
}
