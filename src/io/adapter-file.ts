/** An adapter as the bytes of one safetensors file: on the wire and in checkpoints, with the names that PEFT uses. */
import type { LoraModule } from "../base/adapter.ts";
import { shapeText, type HostArray, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { scoreTensors } from "../base/structure.ts";
import { SCALES_NAME, storedAs, storedValues, type UpdateDtype } from "./adapter-values.ts";
import { Safetensors } from "./safetensors.ts";
import { encodeSafetensors } from "./safetensors-writer.ts";

/** What a file holds besides the factors; factors have the shapes of the pruned layers. */
export interface AdapterExtras {
  /** Which units the factors belong to, as text of `encodeStructure`; null or absent = all of them. */
  readonly structureText?: string | null;
  /** `scores.heads` [L, units] and `scores.ffn` [L, units], both, one or none. */
  readonly scores?: NamedArrays;
}

export interface AdapterContent extends AdapterExtras {
  /** Ownership of rows and columns is not stored: it follows from the structure. */
  readonly modules: readonly LoraModule[];
  readonly heads: NamedArrays;
}

const factor = /^(.+)\.lora_([AB])\.weight$/;
const scorePrefix = "scores.";
const knownScores: ReadonlySet<string> = new Set(Object.values(scoreTensors));
/** Two scales that differ by less are the same alpha over rank, computed in another way. */
const scaleTolerance = 1e-9;

/** `<module>.lora_A.weight` [R, in], `<module>.lora_B.weight` [out, R], and the heads under their own names. */
export function adapterArrays({
  modules,
  heads,
}: Pick<AdapterContent, "modules" | "heads">): NamedArrays {
  const arrays: NamedArrays = new Map();
  for (const { name, a, b } of modules) {
    arrays.set(`${name}.lora_A.weight`, a);
    arrays.set(`${name}.lora_B.weight`, b);
  }
  for (const [name, head] of heads) arrays.set(name, head);
  return arrays;
}

/**
 * Equal contents give equal bytes; factors and heads are stored as `dtype`, scores always as they are. Throws CheckpointError for a name
 * that the file could not be read back with.
 */
export function encodeAdapterFile(
  { modules, heads, structureText, scores = new Map() }: AdapterContent,
  dtype: UpdateDtype = "f32",
): Uint8Array<ArrayBuffer> {
  const { arrays, dtypes } = storedAs(adapterArrays({ modules, heads }), dtype);
  for (const name of heads.keys()) checkHeadName(name, "the adapter");
  for (const [name, array] of scores) {
    checkScores(name, array, "the adapter");
    arrays.set(name, array);
  }
  const metadata: Record<string, string> = { format: "pt", ...scaleEntries(modules) };
  if (typeof structureText === "string") metadata["structure"] = structureText;
  return encodeSafetensors(arrays, { metadata, dtypes });
}

/**
 * Reads what {@link encodeAdapterFile} writes. With a `scale`, that is the scale of every module, and a file which states another
 * one is refused. Throws CheckpointError when the bytes are damaged, a factor has no partner, the scale is unknown or a score is.
 */
export function decodeAdapterFile(
  bytes: Uint8Array,
  origin: string,
  scale?: number,
): Required<AdapterContent> {
  const file = Safetensors.fromBytes(bytes, origin);
  const heads: NamedArrays = new Map();
  const scores: NamedArrays = new Map();
  const pairs = new Map<string, { A?: HostArray; B?: HostArray }>();
  for (const [name, array] of storedValues(file)) {
    const [, module, letter] = factor.exec(name) ?? [];
    if (module !== undefined) {
      pairs.set(module, { ...pairs.get(module), [letter as "A" | "B"]: array });
    } else if (name.startsWith(scorePrefix)) {
      checkScores(name, array, origin);
      scores.set(name, array);
    } else heads.set(name, array);
  }
  const modules = [...pairs].map(([name, { A: a, B: b }]): LoraModule => {
    if (a !== undefined && b !== undefined)
      return { name, a, b, scale: scaleOf(name, file.metadata, scale, origin) };
    throw new CheckpointError(`${origin}: ${name} has one factor`, {
      expected: "lora_A and lora_B",
    });
  });
  return { modules, heads, scores, structureText: file.metadata["structure"] ?? null };
}

/** `scale` of the first module, and `scale.<module>` of each one that has another. */
function scaleEntries(modules: readonly LoraModule[]): Record<string, string> {
  const [first] = modules;
  if (first === undefined) return {};
  const others = modules.filter(({ scale }) => scale !== first.scale);
  return {
    scale: String(first.scale),
    ...Object.fromEntries(others.map(({ name, scale }) => [`scale.${name}`, String(scale)])),
  };
}

function scaleOf(
  module: string,
  metadata: Readonly<Record<string, string>>,
  expected: number | undefined,
  origin: string,
): number {
  const text = metadata[`scale.${module}`] ?? metadata["scale"];
  const scale = text === undefined ? expected : Number(text);
  if (scale !== undefined && Number.isFinite(scale) && scale > 0) {
    if (expected === undefined) return scale;
    if (Math.abs(scale / expected - 1) < scaleTolerance) return expected;
  }
  throw new CheckpointError(`${origin}: scale of ${module}`, {
    expected: expected === undefined ? "a positive number" : String(expected),
    got: text?.slice(0, 40) ?? "none",
  });
}

function checkHeadName(name: string, origin: string): void {
  if (!factor.test(name) && !name.startsWith(scorePrefix) && name !== SCALES_NAME) return;
  throw new CheckpointError(`${origin}: a head cannot be called ${name}`, {
    expected: `a name that is not ${SCALES_NAME}, does not start with ${scorePrefix} and does not end in a factor's`,
  });
}

function checkScores(name: string, { shape }: HostArray, origin: string): void {
  if (knownScores.has(name) && shape.length === 2) return;
  throw new CheckpointError(`${origin}: scores ${name.slice(0, 100)} ${shapeText(shape)}`, {
    expected: `${[...knownScores].join(" [L, units] or ")} [L, units]`,
  });
}
