/** Makes updates that were trained from older adapters fit to be merged with those of the newest one. */
import { rebase } from "../strategies/aggregation/rebase.ts";
import type { Downlink } from "./downlink.ts";
import type { ModeConfig } from "./strategy-config.ts";
import type { HeldUpdate } from "./update-inbox.ts";

/** Over the updates of one merge; 0 where rounds do not overlap. */
export interface Staleness {
  /** Adapters that were made since the one that an update was trained from. */
  readonly mean: number;
  readonly max: number;
}

export interface FreshenOptions {
  readonly mode: ModeConfig;
  /** The version that is made of them. */
  readonly round: number;
  readonly downlink: Pick<Downlink, "startOf" | "newest">;
  /** Devices fold what they get into their base, so that an update is a change by itself. */
  readonly devicesMerge: boolean;
}

/**
 * The updates with their changes carried over to the newest adapter, and weighed down by (1 + staleness)^-power. Source of the weight: the
 * polynomial of FedAsync (Xie et al. 2019, arXiv 1903.03934), which FedBuff uses with a power of a half.
 */
export function freshened(
  updates: readonly HeldUpdate[],
  options: FreshenOptions,
): readonly HeldUpdate[] {
  const { mode, round } = options;
  if (mode.kind === "sync") return updates;
  return updates.map((update) => {
    const staleness = round - update.round;
    if (staleness === 0) return update;
    return { ...carriedOver(update, options), discount: (1 + staleness) ** -mode.stalenessPower };
  });
}

export function stalenessOf(updates: readonly HeldUpdate[], round: number): Staleness {
  const each = updates.map((update) => round - update.round);
  const sum = each.reduce((total, staleness) => total + staleness, 0);
  return { mean: sum / Math.max(1, each.length), max: Math.max(0, ...each) };
}

function carriedOver(update: HeldUpdate, { downlink, devicesMerge }: FreshenOptions): HeldUpdate {
  const now = downlink.newest(update.structure);
  if (now === null) return update;
  const then = downlink.startOf(update, devicesMerge);
  // Without modules of its own only the heads are carried over.
  return { ...update, ...rebase(update, then, devicesMerge ? { ...now, modules: [] } : now) };
}
