/** The way back from a pruned tensor to the shape of the unpruned one: zeros stand where units were removed. */
import type { Owned } from "../base/adapter.ts";
import { hostArray, shapeText, sizeOf, type HostArray, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { ownedOf, type ModelShape } from "../base/model-shape.ts";
import type { Structure } from "../base/structure.ts";

/** Which rows and columns of a whole tensor a pruned one holds; an absent side is whole. */
export interface OwnedSides {
  readonly rows?: Owned;
  readonly cols?: Owned;
}

/** Of weights, biases and LoRA factors, by name; what is not there is whole. */
export function ownedSides(
  shape: ModelShape,
  structure: Structure,
): ReadonlyMap<string, OwnedSides> {
  const sides = new Map<string, OwnedSides>();
  for (const linear of shape.linears) {
    const { rows, cols } = ownedOf(linear, structure);
    sides.set(`${linear.name}.weight`, {
      ...(rows === undefined ? {} : { rows }),
      ...(cols === undefined ? {} : { cols }),
    });
    if (rows !== undefined) {
      sides.set(`${linear.name}.bias`, { rows });
      sides.set(`${linear.name}.lora_B.weight`, { rows });
    }
    if (cols !== undefined) sides.set(`${linear.name}.lora_A.weight`, { cols });
  }
  return sides;
}

/** All tensors in their unpruned shapes. Throws CheckpointError for one of another structure. */
export function spreadAll(values: NamedArrays, shape: ModelShape, structure: Structure): NamedArrays {
  const sides = ownedSides(shape, structure);
  return new Map(
    Array.from(values, ([name, host]) => [name, spread(host, sides.get(name), `tensor ${name}`)]),
  );
}

/** Rows and columns put where they belong. Throws CheckpointError when `host` has others; `what` names it. */
export function spread(host: HostArray, sides: OwnedSides | undefined, what: string): HostArray {
  let out = host;
  if (sides?.rows !== undefined) out = spreadRows(out, sides.rows, what);
  if (sides?.cols !== undefined) out = spreadCols(out, sides.cols, what);
  return out;
}

function spreadRows(host: HostArray, { indices, of }: Owned, what: string): HostArray {
  const [height, ...rest] = host.shape;
  if (height !== indices.length) throw misfit(host, `${indices.length} rows`, what);
  const width = sizeOf(rest);
  const out = hostArray([of, ...rest]);
  indices.forEach((row, k) =>
    out.data.set(host.data.subarray(k * width, (k + 1) * width), row * width),
  );
  return out;
}

function spreadCols(host: HostArray, { indices, of }: Owned, what: string): HostArray {
  const [height = 0, width] = host.shape;
  if (width !== indices.length) throw misfit(host, `${indices.length} columns`, what);
  const out = hostArray([height, of]);
  for (let row = 0; row < height; row++) {
    indices.forEach((col, k) => {
      out.data[row * of + col] = host.data[row * width + k] as number;
    });
  }
  return out;
}

function misfit({ shape }: HostArray, expected: string, what: string): CheckpointError {
  return new CheckpointError(`${what} has another shape`, {
    expected: `${expected}, those of the units that are left`,
    got: shapeText(shape),
    hint: "does the structure belong to these weights?",
  });
}
