/** The adapter that the fleet trains together: merged, measured and saved once per round. */
import type { AdapterState } from "../base/adapter.ts";
import type { Clock } from "../base/clock.ts";
import { RoundError } from "../base/errors.ts";
import type { AdapterUpdate, Aggregator } from "../strategies/aggregation/aggregator.ts";
import type { BlobRef, BlobStore } from "../transfer/blob-store.ts";
import { encodeAdapterFile } from "../io/adapter-file.ts";
import type { Evaluation, RunEvent } from "./run-events.ts";
import type { Checkpoint, RunFolder } from "./run-folder.ts";

export type Evaluate = (adapter: AdapterState | null) => Promise<Evaluation>;

export interface GlobalModelOptions {
  readonly clock: Clock;
  readonly store: BlobStore;
  readonly folder: RunFolder;
  readonly aggregator: Aggregator;
  readonly rank: number;
  readonly alpha: number;
  /** Root of each base file by name. */
  readonly base: Readonly<Record<string, string>>;
  readonly checkpoint: Checkpoint | undefined;
  /** Scores an adapter, or the base alone for null. */
  readonly evaluate: Evaluate | null;
  readonly tell: (event: RunEvent) => void;
}

export class GlobalModel {
  readonly #options: GlobalModelOptions;
  #adapter: AdapterState | null;
  #blob: BlobRef | null = null;
  /** The blob of the round before: devices may still be fetching it while the next one is made. */
  #oldBlob: BlobRef | null = null;
  #before: Evaluation | null;
  #after: Evaluation | null;
  #savedRound: number;

  constructor(options: GlobalModelOptions) {
    this.#options = options;
    this.#adapter = options.checkpoint?.adapter ?? null;
    this.#before = options.checkpoint?.before ?? null;
    this.#after = options.checkpoint?.after ?? null;
    this.#savedRound = options.checkpoint?.round ?? 0;
  }

  get adapter(): AdapterState | null {
    return this.#adapter;
  }

  /** What devices start from; null before the first round. */
  get blob(): BlobRef | null {
    return this.#blob;
  }

  /** The round of the checkpoint. */
  get savedRound(): number {
    return this.#savedRound;
  }

  /** True for the adapter that devices start from and for the one before it. */
  serves(root: string): boolean {
    return root === this.#blob?.root || root === this.#oldBlob?.root;
  }

  /** Quality before the first round and after the last one. */
  get quality(): { before: Evaluation | null; after: Evaluation | null } {
    return { before: this.#before, after: this.#after };
  }

  /** Makes the adapter of the checkpoint available to devices. */
  async load(): Promise<void> {
    if (this.#adapter !== null)
      this.#blob = await this.#options.store.put(encodeAdapterFile(this.#adapter));
  }

  /** Throws RoundError when the updates cannot be merged. */
  async merge(round: number, updates: readonly AdapterUpdate[]): Promise<void> {
    const { clock, aggregator, rank, alpha, store, tell } = this.#options;
    const startMs = clock.nowMs();
    const previous = this.#adapter === null ? {} : { previous: this.#adapter };
    const { state, discardedEnergy } = aggregator.aggregate(updates, {
      rank,
      scale: alpha / rank,
      ...previous,
    });
    this.#adapter = state;
    const outdated = this.#oldBlob;
    this.#oldBlob = this.#blob;
    this.#blob = await store.put(encodeAdapterFile(state));
    if (outdated !== null && !this.serves(outdated.root)) await store.remove(outdated.root);
    const devices = updates.map(({ deviceId }) => deviceId);
    const numSamples = updates.reduce((sum, update) => sum + update.numSamples, 0);
    tell({
      kind: "aggregated",
      round,
      devices,
      numSamples,
      discardedEnergy,
      ms: clock.nowMs() - startMs,
    });
  }

  /** Scores the adapter, or the base in round 0. Throws RoundError when a score is not a number. */
  async measure(round: number): Promise<void> {
    const { clock, evaluate, tell } = this.#options;
    if (evaluate === null) return;
    const startMs = clock.nowMs();
    const evaluation = await evaluate(this.#adapter);
    const { accuracy, loss, macroF1 } = evaluation;
    if (![accuracy, loss, macroF1].every(Number.isFinite)) {
      throw new RoundError(`round ${round}: the evaluation gave no number`, {
        got: `accuracy ${accuracy}, loss ${loss}, macro F1 ${macroF1}`,
        hint: "the adapter may have diverged: lower the learning rate",
      });
    }
    if (round === 0) this.#before = evaluation;
    else this.#after = evaluation;
    tell({ kind: "evaluated", round, ms: clock.nowMs() - startMs, accuracy, loss, macroF1 });
  }

  save(round: number): void {
    const { folder, rank, alpha, base, tell } = this.#options;
    if (this.#adapter === null) return;
    const saved = folder.save(this.#adapter, { round, rank, alpha, base, ...this.quality });
    this.#savedRound = round;
    tell({ kind: "checkpoint", round, ...saved });
  }
}
