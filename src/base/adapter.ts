/** A LoRA adapter as plain arrays: what devices send, strategies merge and checkpoints hold. */
import type { HostArray, NamedArrays } from "./arrays.ts";

/** The part of a pruned layer's outputs or inputs that is left: ascending indices into the `of` original ones. */
export interface Owned {
  readonly indices: readonly number[];
  readonly of: number;
}

/** The adapter of one linear layer; it adds `scale * b * a` to the layer's weight. */
export interface LoraModule {
  readonly name: string;
  /** [R, in] */
  readonly a: HostArray;
  /** [out, R] */
  readonly b: HostArray;
  readonly scale: number;
  /** Which outputs the rows of `b` belong to; absent when the layer has all of them. */
  readonly rows?: Owned;
  /** Which inputs the columns of `a` belong to; absent when the layer has all of them. */
  readonly cols?: Owned;
}

/** All adapted layers and the layers that are trained in full (the classifier). */
export interface AdapterState {
  readonly modules: readonly LoraModule[];
  readonly heads: NamedArrays;
}
