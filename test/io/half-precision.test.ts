/** 16-bit floats: every value survives, and rounding is to the nearest with ties to even. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bf16ToF32, f16ToF32, f32ToF16 } from "../../src/io/half-precision.ts";

const every = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
const isNaN16 = (bits: number) => (bits & 0x7c00) === 0x7c00 && (bits & 0x3ff) !== 0;

test("every float16 survives the way to float32 and back; NaN stays NaN", () => {
  const back = f32ToF16(f16ToF32(every));
  every.forEach((bits, i) => {
    if (isNaN16(bits)) assert.ok(isNaN16(back[i] as number));
    else assert.equal(back[i], bits);
  });
});

test("known float16 values are right", () => {
  const bits = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x7c00, 0xfc00, 0x8000);
  const values = [1, -2, 65504, 2 ** -24, 2 ** -14, Infinity, -Infinity, -0];
  assert.deepEqual([...f16ToF32(bits)], values);
});

test("float32 rounds to the nearest float16, ties to the even one", () => {
  const positive = f16ToF32(every.subarray(0, 0x7c00));
  fc.assert(
    fc.property(fc.double({ min: 0, max: 65519.99, noNaN: true }), (double) => {
      const value = Math.fround(double);
      if (value >= 65520) return;
      const [bits] = f32ToF16(Float32Array.of(value)) as unknown as [number];
      const error = (at: number) => Math.abs((positive[at] ?? Infinity) - value);
      for (const other of [bits - 1, bits + 1]) {
        assert.ok(error(bits) < error(other) || (error(bits) === error(other) && bits % 2 === 0));
      }
    }),
    { numRuns: 2000 },
  );
  const ties = Float32Array.of(2 ** -25, 1.5 * 2 ** -24, 1 + 2 ** -11, 1 + 3 * 2 ** -11);
  assert.deepEqual([...f32ToF16(ties)], [0, 2, 0x3c00, 0x3c02]);
});

test("what float16 cannot hold becomes infinite from 65520 on", () => {
  const values = Float32Array.of(65519.996, 65520, 1e30, -Infinity);
  assert.deepEqual([...f32ToF16(values)], [0x7bff, 0x7c00, 0x7c00, 0xfc00]);
});

test("bfloat16 is the upper half of a float32", () => {
  const values = bf16ToF32(Uint16Array.of(0x3f80, 0xc020, 0x7f80, 0x0001));
  assert.deepEqual([...values], [1, -2.5, Infinity, Math.fround(2 ** -133)]);
});
