/** Packed sequences: one below the other without padding, told apart by the rows where they begin. */

/** First row of sequence b; offsets is i32[B+1]. */
// @ts-ignore: decorator
@inline
export function firstRow(offsets: usize, b: i32): i32 {
  return load<i32>(offsets + ((<usize>b) << 2));
}

/** Rows of sequence b. */
// @ts-ignore: decorator
@inline
export function sequenceRows(offsets: usize, b: i32): i32 {
  return firstRow(offsets, b + 1) - firstRow(offsets, b);
}
