/** The work of one task: fetching base and adapter, training, and keeping the update. */
import type { Clock } from "../base/clock.ts";
import { RoundError, TransportError } from "../base/errors.ts";
import type { TrainTask } from "../protocol/messages.ts";
import type { BlobRef, BlobStore } from "../transfer/blob-store.ts";
import type { DataPlane } from "../transfer/data-plane.ts";
import type { FinishedWork } from "./agent-machine.ts";
import type { Bases } from "./base-cache.ts";
import type { LocalTrainer } from "./local-trainer.ts";
import { Pace } from "./pace.ts";
import { pause } from "./pause.ts";
import { StepTimer } from "./step-timer.ts";

export interface WorkshopOptions {
  readonly device: string;
  readonly clock: Clock;
  readonly store: BlobStore;
  readonly plane: DataPlane;
  readonly bases: Bases;
  readonly trainer: LocalTrainer;
  readonly maxBaseBytes: number;
  readonly maxAdapterBytes: number;
  readonly speed: number;
  readonly onProgress: (round: number, progress: Progress) => void;
}

/** How far training has come, for heartbeats. */
export interface Progress {
  readonly step: number;
  readonly numSteps: number;
  readonly loss: number | null;
}

/** Pause before a broken transfer is tried again. */
const RETRY_MS = 2000;

export class Workshop {
  readonly #options: WorkshopOptions;
  #last: Promise<unknown> = Promise.resolve();
  #baseFolder = "";
  #preparedFor = "";
  #downloadMs = 0;
  #bytesDown = 0;
  progress: Progress = { step: 0, numSteps: 0, loss: null };

  constructor(options: WorkshopOptions) {
    this.#options = options;
  }

  /** Makes the base available. Repeats broken transfers until `signal` is aborted. */
  getBase(task: TrainTask, signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, () => this.#getBase(task, signal));
  }

  /** Makes the adapter available and removes every blob that nobody needs any more. */
  getAdapter(task: TrainTask, signal: AbortSignal): Promise<void> {
    return this.#inTurn(signal, () => this.#getAdapter(task, signal));
  }

  /** Trains and stores the update. Rejects when the trainer does or gives a loss that is not a number. */
  train(task: TrainTask, key: string, signal: AbortSignal): Promise<FinishedWork> {
    return this.#inTurn(signal, () => this.#train(task, key, signal));
  }

  /** The coordinator has told this device what it wants: perhaps a new one, that knows nothing of a transfer under way. */
  askAgain(): void {
    this.#options.plane.askAgain();
  }

  /** Work that was aborted may take a moment to end; the next piece of work starts only then. */
  #inTurn<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #getBase(task: TrainTask, signal: AbortSignal): Promise<void> {
    this.#downloadMs = 0;
    this.#bytesDown = 0;
    this.progress = { step: 0, numSteps: task.plan.steps, loss: null };
    const { bases, maxBaseBytes } = this.#options;
    await this.#timed(async () => {
      const pull = (blob: BlobRef): Promise<void> => this.#pull(blob, maxBaseBytes, signal);
      this.#baseFolder = await bases.ensure(task.base.files, pull);
    });
  }

  async #getAdapter({ adapter }: TrainTask, signal: AbortSignal): Promise<void> {
    const { store, bases, maxAdapterBytes } = this.#options;
    if (adapter !== null) await this.#timed(() => this.#pull(adapter, maxAdapterBytes, signal));
    const needed = new Set([...bases.roots(), adapter?.root]);
    await store.sweep((root) => needed.has(root));
  }

  async #train(task: TrainTask, key: string, signal: AbortSignal): Promise<FinishedWork> {
    const { store, clock, trainer, speed, onProgress } = this.#options;
    const { plan } = task;
    const startMs = clock.nowMs();
    await this.#prepare(plan.labels, task.run);
    const adapter = task.adapter === null ? null : await store.readAll(task.adapter.root);
    const pace = new Pace(clock, speed);
    const timer = new StepTimer(clock);
    const onStep = async (step: number, loss: number): Promise<void> => {
      this.progress = { step, numSteps: plan.steps, loss: Number.isFinite(loss) ? loss : null };
      onProgress(task.round, this.progress);
      await pace.rest(signal);
      timer.stepDone(step);
    };
    const { update, report } = await trainer.train(plan, adapter, onStep, signal);
    if (!Number.isFinite(report.lossFirst) || !Number.isFinite(report.lossLast)) {
      throw new RoundError(
        `training diverged: the loss went from ${report.lossFirst} to ${report.lossLast}`,
      );
    }
    const blob = await store.put(update);
    const measured = {
      stepMs: timer.meanMs,
      trainMs: clock.nowMs() - startMs,
      downloadMs: this.#downloadMs,
      bytesUp: blob.sizeBytes,
      bytesDown: this.#bytesDown,
    };
    return { key, blob, report: { ...report, ...measured } };
  }

  async #prepare(labels: readonly string[], run: string): Promise<void> {
    const wanted = JSON.stringify([this.#baseFolder, labels, run]);
    if (wanted === this.#preparedFor) return;
    this.#preparedFor = "";
    await this.#options.trainer.prepare(this.#baseFolder, labels, run);
    this.#preparedFor = wanted;
  }

  async #pull(blob: BlobRef, maxBytes: number, signal: AbortSignal): Promise<void> {
    const { plane, device, clock } = this.#options;
    if (blob.sizeBytes > maxBytes) {
      throw new TransportError("what the task needs is too large for this device", {
        expected: `at most ${maxBytes} bytes`,
        got: `${blob.sizeBytes} bytes`,
      });
    }
    for (;;) {
      signal.throwIfAborted();
      try {
        const { receivedBytes } = await plane.pull({ device, blob, maxBytes, signal });
        this.#bytesDown += receivedBytes;
        return;
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        await pause(clock, RETRY_MS, signal);
      }
    }
  }

  async #timed(work: () => Promise<void>): Promise<void> {
    const startMs = this.#options.clock.nowMs();
    await work();
    this.#downloadMs += this.#options.clock.nowMs() - startMs;
  }
}
