/** Which rows and columns of a model's parameters, and of an adapter's factors, a structure leaves. */
import { takeCols, takeRows, type HostArray, type NamedArrays } from "../base/arrays.ts";
import { ownedOf, type ModelShape } from "../base/model-shape.ts";
import type { Structure } from "../base/structure.ts";

/** Indices of what is left of a parameter; an absent side is whole. */
export interface Kept {
  readonly rows?: readonly number[];
  readonly cols?: readonly number[];
}

/** What the structure leaves of weights and biases, by parameter name; parameters that are not there lose nothing. */
export function keptOfParameters(
  shape: ModelShape,
  structure: Structure,
): ReadonlyMap<string, Kept> {
  return keptBy(shape, structure, { outputs: ".weight", inputs: ".weight", vector: ".bias" });
}

/** An adapter of the unpruned model cut to the structure; head weights and other arrays stay as they are. */
export function cutAdapter(
  values: NamedArrays,
  shape: ModelShape,
  structure: Structure,
): NamedArrays {
  const outputs = ".lora_B.weight";
  const kept = keptBy(shape, structure, { outputs, inputs: ".lora_A.weight" });
  return new Map(Array.from(values, ([name, host]) => [name, cut(host, kept.get(name))]));
}

/** The rows and columns that are kept, as a new array. */
export function cut(host: HostArray, kept: Kept | undefined): HostArray {
  let out = host;
  if (kept?.rows !== undefined) out = takeRows(out, kept.rows);
  if (kept?.cols !== undefined) out = takeCols(out, kept.cols);
  return out;
}

/** Suffixes of the parameters with a row per output, a column per input, an element per output. */
interface Suffixes {
  readonly outputs: string;
  readonly inputs: string;
  readonly vector?: string;
}

function keptBy(
  shape: ModelShape,
  structure: Structure,
  suffixes: Suffixes,
): ReadonlyMap<string, Kept> {
  const kept = new Map<string, Kept>();
  const add = (name: string, sides: Kept): void =>
    void kept.set(name, { ...kept.get(name), ...sides });
  for (const linear of shape.linears) {
    const { rows, cols } = ownedOf(linear, structure);
    if (rows !== undefined) {
      add(linear.name + suffixes.outputs, { rows: rows.indices });
      if (suffixes.vector !== undefined) {
        add(linear.name + suffixes.vector, { rows: rows.indices });
      }
    }
    if (cols !== undefined) add(linear.name + suffixes.inputs, { cols: cols.indices });
  }
  return kept;
}
