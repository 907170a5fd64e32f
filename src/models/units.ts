/** Which rows and columns of a model's parameters, and of an adapter's factors, a structure leaves. */
import { takeCols, takeRows, type HostArray, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { ownedOf, type ModelShape } from "../base/model-shape.ts";
import type { Structure } from "../base/structure.ts";
import type { Kept } from "../nn/source.ts";

/** What the structure leaves of weights and biases, by parameter name; parameters that are not there lose nothing. */
export function keptOfParameters(
  shape: ModelShape,
  structure: Structure,
): ReadonlyMap<string, Kept> {
  return keptBy(shape, structure, { outputs: ".weight", inputs: ".weight", vector: ".bias" });
}

/**
 * An adapter of the unpruned model cut to the structure; head weights and other arrays stay as they are.
 * Throws CheckpointError for a factor that does not fit the unpruned layer.
 */
export function cutAdapter(
  values: NamedArrays,
  shape: ModelShape,
  structure: Structure,
  origin: string,
): NamedArrays {
  const suffixes = { outputs: ".lora_B.weight", inputs: ".lora_A.weight" };
  const kept = keptBy(shape, structure, suffixes);
  for (const { name, outputs, inputs } of shape.linears) {
    const [a, b] = [name + suffixes.inputs, name + suffixes.outputs];
    checkSide(values.get(a)?.shape[1], inputs, `${origin}: columns of ${a}`);
    checkSide(values.get(b)?.shape[0], outputs, `${origin}: rows of ${b}`);
  }
  return new Map(Array.from(values, ([name, host]) => [name, cut(host, kept.get(name))]));
}

function checkSide(got: number | undefined, expected: number, what: string): void {
  if (got === undefined || got === expected) return;
  throw new CheckpointError(what, {
    expected: `${expected}, those of the unpruned layer`,
    got: String(got),
    hint: "does the adapter belong to this base, and is it whole?",
  });
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
