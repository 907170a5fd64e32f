/** What hostile devices of a simulation send: a well-formed update that has little to do with their training. */
import * as v from "valibot";
import type { LoraModule } from "../base/adapter.ts";
import { type HostArray, hostArray, type NamedArrays } from "../base/arrays.ts";
import { Rng } from "../base/rng.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../io/adapter-file.ts";

export const hostileSchema = v.strictObject({
  /**
   * "sign-flip": the opposite of what was learnt, "scale": the same, "noise": anything of the same size; each of them `factor` times as
   * far from what the device was sent.
   */
  kind: v.picklist(["sign-flip", "scale", "noise"]),
  /** Share of the fleet, by chance. */
  share: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 0.2),
  factor: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0)), 10),
});

export type Hostile = v.InferOutput<typeof hostileSchema>;

/** Which of the devices are hostile: the share rounded, the same ones for the same seed. */
export function hostileIds(ids: readonly string[], { share }: Hostile, seed: number): Set<string> {
  const shuffled = Rng.fromSeed(`${seed}/hostile`).shuffle([...ids]);
  return new Set(shuffled.slice(0, Math.round(share * ids.length)));
}

/**
 * The update that is sent instead of `update`, which was trained from `start`; null for fresh factors, whose B and heads count from zero
 * and whose A stays. Both are adapter files. The same `seed` gives the same bytes.
 */
export function corrupted(
  update: Uint8Array,
  start: Uint8Array | null,
  { kind, factor }: Hostile,
  seed: string,
): Uint8Array {
  const { modules, heads, structureText, scores } = decodeAdapterFile(update, "update");
  const before = start === null ? null : decodeAdapterFile(start, "start");
  const starts = new Map(before?.modules.map((module) => [module.name, module]));
  const rng = Rng.fromSeed(seed);
  const move = (array: HostArray, from: HostArray | undefined): HostArray => {
    // A unit that was pruned in this round leaves nothing to count from.
    const base = from?.data.length === array.data.length ? from.data : undefined;
    const change = array.data.map((value, i) => value - (base?.[i] ?? 0));
    const size = Math.sqrt(change.reduce((sum, value) => sum + value * value, 0) / change.length);
    const sent = change.map((value) => {
      if (kind === "noise") return factor * size * rng.normal();
      return (kind === "scale" ? factor : -factor) * value;
    });
    return hostArray(
      array.shape,
      sent.map((value, i) => value + (base?.[i] ?? 0)),
    );
  };
  const sentModules = modules.map((module): LoraModule => {
    const from = starts.get(module.name);
    const a = from === undefined ? module.a : move(module.a, from.a);
    return { ...module, a, b: move(module.b, from?.b) };
  });
  const sentHeads: NamedArrays = new Map();
  for (const [name, head] of heads) sentHeads.set(name, move(head, before?.heads.get(name)));
  return encodeAdapterFile({ modules: sentModules, heads: sentHeads, structureText, scores });
}
