/** The work at the end of a round: merging its updates, scoring the adapter, and saving both. */
import type { CoordinatorConfig } from "./config.ts";
import { type DiskGuard, isDiskFault } from "./disk-guard.ts";
import { type MergingParts, type MergeInput, mergeRound } from "./merging.ts";
import type { FleetKnowledge } from "./fleet-knowledge.ts";
import type { RoundChoices } from "./round-choices.ts";
import type { RoundResults } from "./round-results.ts";
import type { RunJournal } from "./run-journal.ts";
import type { CheckpointRecord } from "./run-record.ts";
import { scoredModels } from "./scored-models.ts";
import type { TrafficTally } from "./tallies.ts";
import type { UpdateInbox } from "./update-inbox.ts";

export interface RoundJobsParts extends MergingParts {
  readonly config: CoordinatorConfig;
  readonly inbox: UpdateInbox;
  readonly knowledge: FleetKnowledge;
  readonly results: RoundResults;
  readonly journal: RunJournal;
  readonly traffic: TrafficTally;
}

export class RoundJobs {
  readonly #parts: RoundJobsParts;
  readonly #choices: RoundChoices;
  readonly #disk: DiskGuard;
  /** Devices whose updates are in the adapter that is being saved. */
  #merged: readonly string[] = [];

  constructor(parts: RoundJobsParts, choices: RoundChoices, disk: DiskGuard) {
    this.#parts = parts;
    this.#choices = choices;
    this.#disk = disk;
  }

  async merge(devices: readonly string[], round: Omit<MergeInput, "updates">): Promise<void> {
    const updates = this.#parts.inbox.updatesOf(devices);
    await mergeRound(this.#parts, { ...round, updates });
    this.#merged = devices;
  }

  async measure(round: number): Promise<void> {
    const { model, knowledge, config, journal } = this.#parts;
    const isLast = round === config.rounds;
    const count = isLast ? knowledge.models.size : config.scoredModels;
    await model.measure(round, scoredModels(knowledge.models, count));
    const { before } = model.quality;
    if (round === 0) await this.#disk.insist(() => journal.append({ before }));
  }

  /** Resolves once the disk has taken the round, however long that takes. */
  async save(round: number): Promise<void> {
    const { model, steering, screen, results, tell, inbox } = this.#parts;
    const fleet = { ...steering.export(), norms: screen.export() };
    await this.#disk.insist(() =>
      model.save(round, fleet, (checkpoint) => this.#settle(checkpoint)),
    );
    const { attempts, times } = results;
    tell({ kind: "round-finished", round, attempts, ...times });
    await inbox.clear(this.#merged).catch(ignoreDisk);
  }

  #settle(checkpoint: CheckpointRecord): void {
    const { journal, traffic, drops } = this.#parts;
    const decided = this.#choices.pending(checkpoint.round);
    const counts = { dropped: drops.byReason(), traffic: traffic.counted };
    journal.settle({ checkpoint, merged: this.#merged, decided, ...counts });
    traffic.clear();
  }
}

/** What cannot be removed now is removed after the next round. */
function ignoreDisk(error: unknown): void {
  if (!isDiskFault(error)) throw error;
}
