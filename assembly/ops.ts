/** Lane operations that several kernels hand to the loops of loops.ts. */
import { Adding } from "./loops";
import { madd } from "./simd";

/** a + b */
// @ts-ignore: decorator
@unmanaged
export class Add {
  // @ts-ignore: decorator
  @inline
  of(a: v128, b: v128, k: v128): v128 {
    return f32x4.add(a, b);
  }
}

/** a + k b */
// @ts-ignore: decorator
@unmanaged
export class AddScaled {
  // @ts-ignore: decorator
  @inline
  of(a: v128, b: v128, k: v128): v128 {
    return madd(b, k, a);
  }
}

/** k a */
// @ts-ignore: decorator
@unmanaged
export class Scale {
  // @ts-ignore: decorator
  @inline
  of(a: v128, k: v128): v128 {
    return f32x4.mul(a, k);
  }
}

/** acc + a */
// @ts-ignore: decorator
@unmanaged
export class Sum extends Adding {
  // @ts-ignore: decorator
  @inline
  of(acc: v128, a: v128, k: v128): v128 {
    return f32x4.add(acc, a);
  }
}

/** acc + a b */
// @ts-ignore: decorator
@unmanaged
export class Dot extends Adding {
  // @ts-ignore: decorator
  @inline
  of(acc: v128, a: v128, b: v128, k: v128): v128 {
    return madd(a, b, acc);
  }
}
