/** Sets of named tensors as plain arrays, and back with their shapes checked. */
import { shapeText, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import type { Tensor } from "./tensor.ts";

export interface NamedTensor {
  readonly name: string;
  readonly tensor: Tensor;
}

/** A copy of the values, by name. */
export function copyToHost(tensors: readonly NamedTensor[]): NamedArrays {
  return new Map(
    tensors.map(({ name, tensor }) => [name, { shape: tensor.shape, data: tensor.toHost() }]),
  );
}

/** How a missing or misshapen value is reported. */
export interface Misfit {
  readonly what: (name: string) => string;
  readonly hint?: string;
}

/** Overwrites every tensor. Throws CheckpointError for a missing or misshapen value. */
export function overwrite(
  tensors: readonly NamedTensor[],
  values: NamedArrays,
  { what, hint }: Misfit,
): void {
  for (const { name, tensor } of tensors) {
    const host = values.get(name);
    if (host === undefined || shapeText(host.shape) !== shapeText(tensor.shape)) {
      throw new CheckpointError(what(name), {
        expected: shapeText(tensor.shape),
        got: host === undefined ? "nothing of that name" : shapeText(host.shape),
        ...(hint === undefined ? {} : { hint }),
      });
    }
    tensor.f32.set(host.data);
  }
}
