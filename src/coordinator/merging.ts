/** The one place where updates touch the global adapter: compares them with each other, freshens stale ones, merges, and learns. */
import type { CoordinatorConfig } from "./config.ts";
import type { Downlink } from "./downlink.ts";
import type { GlobalModel } from "./global-model.ts";
import type { ReceivedUpdate } from "./round-results.ts";
import type { RunEvent } from "./run-events.ts";
import { freshened, stalenessOf } from "./stale-updates.ts";
import type { Steering } from "./steering.ts";
import { aggregatorOf } from "./strategy-config.ts";
import type { DropTally } from "./tallies.ts";
import type { HeldUpdate } from "./update-inbox.ts";
import type { UpdateScreen } from "./update-screen.ts";

export interface MergingParts {
  readonly config: CoordinatorConfig;
  readonly screen: UpdateScreen;
  readonly downlink: Downlink;
  readonly model: GlobalModel;
  readonly steering: Steering;
  readonly drops: DropTally;
  readonly tell: (event: RunEvent) => void;
}

export interface MergeInput {
  readonly round: number;
  /** Sorted by device. */
  readonly updates: readonly HeldUpdate[];
  readonly received: ReadonlyMap<string, ReceivedUpdate>;
  /** Devices whose tasks outlive the round. */
  readonly pending: ReadonlySet<string>;
}

/** Throws RoundError when the updates cannot be merged. */
export async function mergeRound(
  { config, screen, downlink, model, steering, drops, tell }: MergingParts,
  { round, updates, received, pending }: MergeInput,
): Promise<void> {
  const { kept, events } = screen.settle(round, updates);
  for (const event of events) {
    if (event.kind === "update-dropped") drops.add(`update-${event.reason}`);
    tell(event);
  }
  const devicesMerge = aggregatorOf(config).devicesMerge === true;
  const fresh = freshened(kept, { mode: config.mode, round, downlink, devicesMerge });
  await model.merge(round, fresh, stalenessOf(kept, round));
  steering.learn(round, received, kept, pending);
}
