/** Reductions in one fixed order, so that a sum repeats bit for bit at every address. */
import { fold2, map2 } from "./loops";
import { laneMask, loadLanes, storeLanes } from "./lanes";
import { Add } from "./ops";

// @ts-ignore: decorator
@unmanaged
class Identity {
  // @ts-ignore: decorator
  @inline
  of(a: v128): v128 {
    return a;
  }
}
