/** 16-bit floating point in both common forms, to and from float32, for values in files. */

/** All 65536 float16 values as float32; made on first use. */
let halfTable: Float32Array | undefined;

/** IEEE 754 binary16 to float32, exactly; into `out` where one is given. */
export function f16ToF32(
  halves: Uint16Array,
  out: Float32Array = new Float32Array(halves.length),
): Float32Array {
  const table = (halfTable ??= Float32Array.from({ length: 65536 }, (_, bits) => halfValue(bits)));
  for (let i = 0; i < halves.length; i++) out[i] = table[halves[i] as number] as number;
  return out;
}

/** bfloat16 to float32, exactly: it is the upper half of the bits; into `out` where one is given. */
export function bf16ToF32(
  halves: Uint16Array,
  out: Float32Array = new Float32Array(halves.length),
): Float32Array {
  const bits = new Uint32Array(out.buffer, out.byteOffset, halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = (halves[i] as number) << 16;
  return out;
}

/** Float32 to IEEE 754 binary16: nearest, ties to even; too large becomes infinite, NaN stays NaN. */
export function f32ToF16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = halfBits(bits[i] as number);
  return out;
}

function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // From 65520 on the nearest float16 is infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // Below 2^-14 float16 counts in units of 2^-24.
  if (magnitude < 0x38800000) {
    const shift = 126 - (magnitude >>> 23);
    return sign | (shift > 24 ? 0 : roundedShift((magnitude & 0x7fffff) | 0x800000, shift));
  }
  return sign | roundedShift(magnitude - 0x38000000, 13);
}

/** value / 2^shift to the nearest whole number, ties to even. */
function roundedShift(value: number, shift: number): number {
  const floor = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return rest > half || (rest === half && (floor & 1) === 1) ? floor + 1 : floor;
}
