/** The trainer of a simulated device: real training in a worker thread, for as long as the simulated machine would take. */
import { RoundError } from "../base/errors.ts";
import type { LocalTrainer, TrainedUpdate } from "../device/local-trainer.ts";
import type { TrainPlan } from "../protocol/messages.ts";
import { corrupted } from "./hostile.ts";
import type { Pricing } from "./pricing.ts";
import type { RoundConditions, SimulatedMachine } from "./profiles.ts";
import type { TrainResult } from "./trainer-jobs.ts";
import type { VirtualClock } from "./virtual-clock.ts";
import type { JobRunner } from "./worker-pool.ts";

export interface SimulatedTrainerOptions {
  readonly clock: VirtualClock;
  readonly pool: Pick<JobRunner, "run">;
  readonly pricing: Pick<Pricing, "gflopsPerStep" | "structureOf">;
  readonly machine: SimulatedMachine;
  readonly conditions: RoundConditions;
  /** Aborted when the machine loses its power. */
  readonly power: AbortSignal;
  /** Told how long training is expected to take when it begins. */
  readonly onBegin: (expectedMs: number) => void;
  /** What the trainer kept after its last round. */
  readonly memory: Uint8Array | null;
  /** Told of training that is done: what it took, and what to keep for the next round. */
  readonly onDone: (done: { readonly gflops: number; readonly memory: Uint8Array | null }) => void;
}

/**
 * Share of the expected duration that passes before the real result is waited for. What training really costs shows in the
 * result alone, so this has to be less than any real duration; the more, the more devices train at the same time.
 */
const HEAD_START = 0.5;

export class SimulatedTrainer implements LocalTrainer {
  readonly #options: SimulatedTrainerOptions;
  #memory: Uint8Array | null;
  #run = "";

  constructor(options: SimulatedTrainerOptions) {
    this.#options = options;
    this.#memory = options.memory;
  }

  /** The workers load the base themselves; loading takes no simulated time. */
  prepare(...[, , run]: Parameters<LocalTrainer["prepare"]>): Promise<void> {
    this.#run = run;
    return Promise.resolve();
  }

  async train(
    plan: TrainPlan,
    adapter: Uint8Array | null,
    onStep: (step: number, loss: number) => Promise<void>,
    stop: AbortSignal,
  ): Promise<TrainedUpdate> {
    const { clock, pool, machine, conditions, power, onBegin, onDone } = this.#options;
    const signal = AbortSignal.any([stop, power]);
    const startMs = clock.nowMs();
    const device = { id: machine.id, index: machine.index };
    const [run, memory] = [this.#run, this.#memory];
    const work = pool.run({ kind: "train", device, plan, run, adapter, memory }, signal);
    work.catch(() => undefined);
    const expectedMs = plan.steps * this.#stepMs(plan, { sparsity: plan.pruning?.sparsity ?? 0 });
    onBegin(expectedMs);
    await this.#until(startMs + HEAD_START * expectedMs, signal);
    const result = await clock.hold(work);
    const { update, losses } = result;
    this.#expectRoom(result);
    const { steps } = result.report;
    const stepMs = this.#stepMs(plan, this.#options.pricing.structureOf(update));
    const done = Math.min(steps - 1, Math.floor((clock.nowMs() - startMs) / stepMs));
    for (let step = done + 1; step <= steps; step++) {
      await this.#until(startMs + step * stepMs, signal);
      await onStep(step, losses[step - 1] ?? NaN);
    }
    this.#memory = result.memory;
    const seconds = (steps * stepMs) / 1000;
    onDone({ gflops: seconds / conditions.secondsPerGflop, memory: result.memory });
    const { peakBytes } = result.report;
    const { id, hostile } = machine;
    const sent =
      hostile === null ? update : corrupted(update, adapter, hostile, `${plan.seed}/${id}`);
    return { update: sent, report: { ...result.report, residentBytes: peakBytes } };
  }

  /** Throws RoundError where a real machine would have run out of memory. */
  #expectRoom({ report: { peakBytes } }: TrainResult): void {
    const { memoryBytes } = this.#options.machine.board;
    if (peakBytes <= memoryBytes) return;
    throw new RoundError("out of memory", {
      expected: `at most ${memoryBytes} bytes`,
      got: `${peakBytes} bytes`,
    });
  }

  #stepMs(plan: TrainPlan, structure: Parameters<Pricing["gflopsPerStep"]>[2]): number {
    const { pricing, machine, conditions } = this.#options;
    const gflops = pricing.gflopsPerStep(machine.index, plan, structure);
    return 1000 * gflops * conditions.secondsPerGflop;
  }

  /** Rejects with the signal's reason as soon as it is aborted. */
  #until(dueMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", end);
        if (signal.aborted) reject(signal.reason as Error);
        else resolve();
      };
      const timer = this.#options.clock.at(signal.aborted ? 0 : dueMs, end);
      signal.addEventListener("abort", end, { once: true });
    });
  }
}
