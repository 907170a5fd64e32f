/** The number formats a frozen base model can be held in, and the bytes that a weight takes in each. */

/** Weights that are not trained; whatever is trained stays float32. */
export const baseDtypes = ["f32", "f16", "int8", "int4"] as const;

export type BaseDtype = (typeof baseDtypes)[number];

/** Columns that share one scale in int4; a row's last group may be partly empty. */
export const int4GroupColumns = 32;

/** Groups in an int4 row of `cols` columns. */
export function int4Groups(cols: number): number {
  return Math.ceil(cols / int4GroupColumns);
}

/** Where the scales of a [rows, cols] weight begin, behind its values; 0 for a format without scales. */
export function scalesOffset(dtype: BaseDtype, rows: number, cols: number): number {
  if (dtype === "int8") return Math.ceil((rows * cols) / 4) * 4;
  if (dtype === "int4") return rows * int4Groups(cols) * (int4GroupColumns / 2);
  return 0;
}

/** Bytes of a [rows, cols] weight: its values and, behind them, a float32 scale per int8 row or a float16 one per int4 group. */
export function bytesOf(dtype: BaseDtype, rows: number, cols: number): number {
  switch (dtype) {
    case "f32":
      return 4 * rows * cols;
    case "f16":
      return 2 * rows * cols;
    case "int8":
      return scalesOffset(dtype, rows, cols) + 4 * rows;
    case "int4":
      return scalesOffset(dtype, rows, cols) + 2 * rows * int4Groups(cols);
  }
}
