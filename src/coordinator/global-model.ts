/** The adapter that the fleet trains together: merged, measured and saved once per round. */
import type { AdapterState } from "../base/adapter.ts";
import type { Clock } from "../base/clock.ts";
import { RoundError } from "../base/errors.ts";
import type { Structure } from "../base/structure.ts";
import type { AggregateOptions, Aggregator } from "../strategies/aggregation/aggregator.ts";
import type { Defect } from "../strategies/aggregation/update-check.ts";
import type { Downlink } from "./downlink.ts";
import type { Evaluation, RunEvent, Score } from "./run-events.ts";
import type { Checkpoint, FleetRecord, RunFolder } from "./run-folder.ts";
import type { CheckpointRecord } from "./run-record.ts";
import type { Staleness } from "./stale-updates.ts";
import type { HeldUpdate } from "./update-inbox.ts";

/**
 * Scores an adapter, or for null the base alone. With structures, by device, the adapter is scored on these pruned models and the
 * result is their mean with the worst of them; without any on the whole model.
 */
export type Evaluate = (
  adapter: AdapterState | null,
  structures: ReadonlyMap<string, Structure>,
) => Promise<Evaluation>;

/** The same where not every adapter is scored: null for one that is not. */
export type MaybeEvaluate = (...args: Parameters<Evaluate>) => Promise<Evaluation | null>;

export interface GlobalModelOptions {
  readonly clock: Clock;
  readonly folder: RunFolder;
  readonly downlink: Downlink;
  readonly aggregator: Aggregator;
  /** LoRA rank of the global adapter. */
  readonly rank: number;
  /** alpha / R, the same for every adapter of the run. */
  readonly scale: number;
  /** Root of each base file by name. */
  readonly base: Readonly<Record<string, string>>;
  readonly checkpoint: Checkpoint | undefined;
  /** Quality before the first round, when it is known but no round is done. */
  readonly before: Evaluation | null;
  readonly evaluate: MaybeEvaluate | null;
  readonly tell: (event: RunEvent) => void;
}

export class GlobalModel {
  readonly #options: GlobalModelOptions;
  #adapter: AdapterState | null;
  /** The adapter of the checkpoint: merging the same round again gives the same. */
  #saved: AdapterState | null;
  #before: Evaluation | null;
  #after: Evaluation | null;
  #savedRound: number;

  constructor(options: GlobalModelOptions) {
    this.#options = options;
    this.#adapter = options.checkpoint?.adapter ?? null;
    this.#saved = this.#adapter;
    this.#before = options.before;
    this.#after = options.checkpoint?.after ?? null;
    this.#savedRound = options.checkpoint?.round ?? 0;
  }

  /** The round of the checkpoint. */
  get savedRound(): number {
    return this.#savedRound;
  }

  /** Quality before the first round and after the last one. */
  get quality(): { before: Evaluation | null; after: Evaluation | null } {
    return { before: this.#before, after: this.#after };
  }

  /** What the aggregator cannot merge in an update that is sound by itself, or null. */
  defectIn(update: AdapterState): Defect | null {
    return this.#options.aggregator.defectIn?.(update, this.#aggregateOptions()) ?? null;
  }

  /** Throws RoundError when the updates cannot be merged. */
  async merge(round: number, updates: readonly HeldUpdate[], staleness: Staleness): Promise<void> {
    const { clock, aggregator, downlink, tell } = this.#options;
    const startMs = clock.nowMs();
    const { state, discardedEnergy } = aggregator.aggregate(updates, this.#aggregateOptions());
    this.#adapter = state;
    await downlink.replace(state, round);
    const devices = updates.map(({ deviceId }) => deviceId);
    const numSamples = updates.reduce((sum, update) => sum + update.numSamples, 0);
    const meanSparsity = updates.reduce((sum, { sparsity }) => sum + sparsity, 0) / updates.length;
    const ms = clock.nowMs() - startMs;
    const merged = { numSamples, discardedEnergy, meanSparsity };
    const old = { meanStaleness: staleness.mean, maxStaleness: staleness.max };
    tell({ kind: "aggregated", round, devices, ...merged, ...old, ms });
  }

  /** Scores the adapter, or the base in round 0. Throws RoundError when a score is not a number. */
  async measure(round: number, structures: ReadonlyMap<string, Structure>): Promise<void> {
    const { clock, evaluate, tell } = this.#options;
    if (evaluate === null) return;
    const startMs = clock.nowMs();
    const evaluation = await evaluate(this.#adapter, structures);
    if (evaluation === null) return;
    expectNumbers(round, evaluation);
    if (round === 0) this.#before = evaluation;
    else this.#after = evaluation;
    tell({ kind: "evaluated", round, ms: clock.nowMs() - startMs, ...evaluation });
  }

  /**
   * Writes the adapter and has a record point to it with `settle`; until that is done the checkpoint before is the one that counts.
   * Throws DataError when the disk refuses, and what `settle` throws.
   */
  save(round: number, fleet: FleetRecord, settle: (checkpoint: CheckpointRecord) => void): void {
    const { folder, rank, scale, base, tell } = this.#options;
    if (this.#adapter === null) return;
    const { meanScores, ...kept } = fleet;
    const { file, path, sizeBytes } = folder.saveAdapter(round, this.#adapter, meanScores);
    const fits = { rank, scale, base };
    settle({ round, adapterFile: file, ...fits, ...this.quality, fleet: kept });
    folder.tidy(file);
    this.#saved = this.#adapter;
    this.#savedRound = round;
    tell({ kind: "checkpoint", round, path, adapterBytes: sizeBytes });
  }

  #aggregateOptions(): AggregateOptions {
    const { rank, scale } = this.#options;
    return { rank, scale, ...(this.#saved === null ? {} : { previous: this.#saved }) };
  }
}

function expectNumbers(round: number, { worst, accuracy, loss, macroF1 }: Evaluation): void {
  const scores: Score[] = [{ accuracy, loss, macroF1 }, ...(worst === undefined ? [] : [worst])];
  for (const { accuracy, loss, macroF1 } of scores) {
    if ([accuracy, loss, macroF1].every(Number.isFinite)) continue;
    throw new RoundError(`round ${round}: the evaluation gave no number`, {
      got: `accuracy ${accuracy}, loss ${loss}, macro F1 ${macroF1}`,
      hint: "the adapter may have diverged: lower the learning rate",
    });
  }
}
