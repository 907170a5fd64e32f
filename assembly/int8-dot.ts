/** What the relaxed dot product of bytes does on this machine. */

/** -2: not yet asked. */
let known: i32 = -2;

/** Sixteen bytes of x, sixteen of b, and the sums of their products in fours for unsigned and for signed b. */
const probe = memory.data<u8>([
  127, 127, 127, 127, 129, 129, 129, 129, 127, 129, 3, 253, 129, 127, 1, 255, 255, 255, 255, 255,
  255, 255, 255, 255, 128, 129, 255, 254, 128, 255, 129, 127,
]);
const unsigned = memory.data<i32>([129540, -129540, -124, 16131]);
const signed = memory.data<i32>([-508, 508, -124, 15875]);

/**
 * What to add to a signed byte b so that the relaxed dot product multiplies by it exactly: 128 where
 * the instruction takes b as unsigned, 0 where as signed, -1 where it saturates or is not to be had.
 * The portable contract has but 7 bits for b; 8 work wherever the processor has an instruction for
 * sums of four products.
 */
export function dotOffset(): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return -1;
  if (known == -2) {
    const sums = i32x4.relaxed_dot_i8x16_i7x16_add_s(
      v128.load(probe),
      v128.load(probe, 16),
      i32x4.splat(0),
    );
    if (!v128.any_true(v128.xor(sums, v128.load(unsigned)))) known = 128;
    else if (!v128.any_true(v128.xor(sums, v128.load(signed)))) known = 0;
    else known = -1;
  }
  return known;
}
