/** Which prunable units of a model are left, as plain data that devices, strategies and files share. */
import { ConfigError } from "./errors.ts";

/** The kinds of units that structured pruning removes: attention heads (key-value groups) and inner channels. */
export const unitKinds = ["heads", "ffn"] as const;
export type UnitKind = (typeof unitKinds)[number];

/** Names of the tensors [L, units] that carry the importance of each unit of the unpruned model, by kind. */
export const scoreTensors = {
  heads: "scores.heads",
  ffn: "scores.ffn",
} as const satisfies Record<UnitKind, string>;

/** Units left in one layer: ascending ids of the unpruned layer, never empty. */
export type LayerStructure = Readonly<Record<UnitKind, readonly number[]>>;

export interface Structure {
  readonly layers: readonly LayerStructure[];
}

/** How many units an unpruned layer has; a head is a key-value group with its queries. */
export interface UnitCounts extends Readonly<Record<UnitKind, number>> {
  readonly layers: number;
}

/** The unpruned structure. */
export function fullStructure(counts: UnitCounts): Structure {
  const layer = { heads: range(counts.heads), ffn: range(counts.ffn) };
  return { layers: Array.from({ length: counts.layers }, () => layer) };
}

/** Whether nothing was removed. */
export function isFull({ layers }: Structure, counts: UnitCounts): boolean {
  return layers.every(
    ({ heads, ffn }) => heads.length === counts.heads && ffn.length === counts.ffn,
  );
}

/** Whether every unit of `inner` is also in `outer`. */
export function isSubset(inner: Structure, outer: Structure): boolean {
  return inner.layers.every((layer, i) =>
    unitKinds.every((kind) => {
      const there = new Set(outer.layers[i]?.[kind]);
      return layer[kind].every((id) => there.has(id));
    }),
  );
}

export function isSameStructure(a: Structure, b: Structure): boolean {
  return a.layers.length === b.layers.length && isSubset(a, b) && isSubset(b, a);
}

/** The units that both have; where a layer would be left empty, those of `b`. */
export function intersection(a: Structure, b: Structure): Structure {
  return {
    layers: a.layers.map((layer, i) => {
      const other = b.layers[i] ?? layer;
      const both = (kind: UnitKind): readonly number[] => {
        const there = new Set(other[kind]);
        const shared = layer[kind].filter((id) => there.has(id));
        return shared.length > 0 ? shared : other[kind];
      };
      return { heads: both("heads"), ffn: both("ffn") };
    }),
  };
}

/** Throws ConfigError unless the structure is one of a model with these counts. */
export function checkStructure(structure: Structure, counts: UnitCounts, origin: string): void {
  if (structure.layers.length !== counts.layers) {
    throw new ConfigError(`${origin}: layers`, {
      expected: String(counts.layers),
      got: String(structure.layers.length),
    });
  }
  structure.layers.forEach((layer, i) => {
    for (const kind of unitKinds) {
      const ids = layer[kind];
      const isSound =
        ids.length > 0 &&
        ids.every(
          (id, k) =>
            Number.isInteger(id) && id < counts[kind] && id > (k === 0 ? -1 : Number(ids[k - 1])),
        );
      if (!isSound) {
        throw new ConfigError(`${origin}: layer ${i}, ${kind}`, {
          expected: `ascending indices below ${counts[kind]}, at least one`,
          got: ids.length > 8 ? `${ids.slice(0, 8).join(", ")}, …` : ids.join(", ") || "none",
        });
      }
    }
  });
}

/** Short text of a structure: per layer two bitmaps in hexadecimal, four units a digit, lowest id in the highest bit. */
export function encodeStructure({ layers }: Structure, counts: UnitCounts): string {
  return layers
    .map(({ heads, ffn }) => `${bitmap(heads, counts.heads)}.${bitmap(ffn, counts.ffn)}`)
    .join(",");
}

/** Reads what {@link encodeStructure} writes. Throws ConfigError for anything else. */
export function decodeStructure(text: string, counts: UnitCounts, origin: string): Structure {
  const layers = text.split(",").map((layer) => {
    const [heads = "", ffn = ""] = layer.split(".");
    return { heads: bits(heads, counts.heads, origin), ffn: bits(ffn, counts.ffn, origin) };
  });
  const structure = { layers };
  checkStructure(structure, counts, origin);
  return structure;
}

function bitmap(ids: readonly number[], count: number): string {
  const digits = new Uint8Array(Math.ceil(count / 4));
  for (const id of ids) digits[id >> 2] = (digits[id >> 2] ?? 0) | (8 >> (id & 3));
  return Array.from(digits, (digit) => digit.toString(16)).join("");
}

function bits(text: string, count: number, origin: string): number[] {
  if (text.length !== Math.ceil(count / 4) || !/^[0-9a-f]*$/.test(text)) {
    throw new ConfigError(`${origin}: structure`, {
      expected: `${Math.ceil(count / 4)} hexadecimal digits for ${count} units`,
      got: text.slice(0, 40),
    });
  }
  const ids: number[] = [];
  for (let i = 0; i < text.length; i++) {
    const value = Number.parseInt(text.charAt(i), 16);
    for (let bit = 0; bit < 4; bit++) if ((value & (8 >> bit)) !== 0) ids.push(4 * i + bit);
  }
  return ids;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
