/** Gives back what JavaScript no longer needs at a moment of our choosing: before the engine takes its memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Reading a vocabulary and thousands of examples leaves more behind than they take; V8 alone would wait for a full heap. */
export function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
}
