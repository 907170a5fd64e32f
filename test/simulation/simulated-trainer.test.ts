/** The trainer of a simulated device: real results after simulated time, whatever happens in between. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { RoundError } from "../../src/base/errors.ts";
import { builtInFleet } from "../../src/simulation/config.ts";
import { drawFleet } from "../../src/simulation/profiles.ts";
import {
  SimulatedTrainer,
  type SimulatedTrainerOptions,
} from "../../src/simulation/simulated-trainer.ts";
import type { Job, TrainResult } from "../../src/simulation/trainer-jobs.ts";
import { VirtualClock } from "../../src/simulation/virtual-clock.ts";
import { PLAN, REPORT } from "../support/messages.ts";
import { must } from "../support/must.ts";

const STEPS = 8;
const MEMORY_BYTES = 1_000_000;

/** One device of 2 s per GFLOP; a whole step has 0.5 GFLOP, one after pruning what `gflops` says. */
class Bench {
  readonly clock = new VirtualClock(1000);
  readonly stop = new AbortController();
  readonly power = new AbortController();
  readonly steps: { step: number; atMs: number; loss: number }[] = [];
  readonly done: Parameters<SimulatedTrainerOptions["onDone"]>[0][] = [];
  jobSignal: AbortSignal | undefined;
  readonly #trainer: SimulatedTrainer;

  constructor(work: (job: Job) => Promise<TrainResult>, gflops = 0.5) {
    const overrides = { memoryBytes: MEMORY_BYTES };
    const machine = must(drawFleet(builtInFleet("gateways"), 1, overrides, 1)[0]);
    this.#trainer = new SimulatedTrainer({
      clock: this.clock,
      pool: {
        run: (job, signal) => {
          this.jobSignal = signal;
          return work(job);
        },
      },
      pricing: {
        gflopsPerStep: (_device, _plan, structure) => ("layers" in structure ? gflops : 0.5),
        structureOf: () => ({ layers: [] }),
      },
      machine,
      conditions: {
        secondsPerGflop: 2,
        upBytesPerSecond: 1,
        downBytesPerSecond: 1,
        latencyMs: 0,
        vanishesAt: null,
      },
      power: this.power.signal,
      memory: Uint8Array.of(1),
      onBegin: () => undefined,
      onDone: (done) => void this.done.push(done),
    });
  }

  async train(): ReturnType<SimulatedTrainer["train"]> {
    await this.#trainer.prepare("base", [], "run-1");
    const plan = { ...PLAN, steps: STEPS };
    const work = this.#trainer.train(
      plan,
      null,
      (step, loss) => {
        this.steps.push({ step, atMs: this.clock.nowMs(), loss });
        return Promise.resolve();
      },
      this.stop.signal,
    );
    return this.clock.run(work);
  }
}

function result(peakBytes = MEMORY_BYTES): TrainResult {
  const { stepMs: _1, trainMs: _2, downloadMs: _3, bytesUp: _4, bytesDown: _5, ...known } = REPORT;
  return {
    update: Uint8Array.of(7),
    report: { ...known, steps: STEPS, peakBytes, residentBytes: 123 },
    losses: Array.from({ length: STEPS }, (_, i) => i),
    memory: Uint8Array.of(2),
  };
}

test("training takes as long as the model that is left costs, and steps come at their times", async () => {
  const bench = new Bench(() => Promise.resolve(result()), 0.4);
  const { update, report } = await bench.train();
  assert.deepEqual(update, Uint8Array.of(7));
  assert.equal(bench.clock.nowMs(), 1000 + STEPS * 800);
  assert.equal(report.residentBytes, report.peakBytes);
  for (const { step, atMs, loss } of bench.steps) {
    assert.equal(atMs, 1000 + step * 800);
    assert.equal(loss, step - 1);
  }
  assert.equal(bench.steps.at(-1)?.step, STEPS);
  assert.ok(bench.steps.length >= 3);
  const done = must(bench.done[0]);
  assert.equal(done.gflops.toFixed(6), (STEPS * 0.4).toFixed(6));
  assert.deepEqual(done.memory, Uint8Array.of(2));
});

test("the job carries the run and what the trainer kept", async () => {
  const seen: Job[] = [];
  const bench = new Bench((job) => {
    seen.push(job);
    return Promise.resolve(result());
  });
  await bench.train();
  const [job] = seen;
  assert.ok(job?.kind === "train");
  assert.equal(job.run, "run-1");
  assert.deepEqual(job.memory, Uint8Array.of(1));
});

test("a machine with too little memory fails when the result shows what it took", async () => {
  const bench = new Bench(() => Promise.resolve(result(MEMORY_BYTES + 1)));
  await assert.rejects(bench.train(), /out of memory/);
  assert.deepEqual(bench.done, []);
});

test("failed training fails after simulated time has begun to pass", async () => {
  const bench = new Bench(() => Promise.reject(new RoundError("training diverged")));
  await assert.rejects(bench.train(), /diverged/);
  assert.ok(bench.clock.nowMs() > 1000);
});

test("an abort ends training at once, before and after the result is here", async () => {
  for (const atMs of [100, 7000]) {
    const bench = new Bench(() => Promise.resolve(result()));
    bench.clock.after(atMs, () => bench.stop.abort(new RoundError("no longer wanted")));
    await assert.rejects(bench.train(), /no longer wanted/);
    assert.equal(bench.clock.nowMs(), 1000 + atMs);
    assert.equal(bench.jobSignal?.aborted, true);
    assert.deepEqual(bench.done, []);
  }
});

test("a power cut ends training as an abort does", async () => {
  const bench = new Bench(() => Promise.resolve(result()));
  bench.clock.after(100, () => bench.power.abort(new RoundError("the power is gone")));
  await assert.rejects(bench.train(), /power is gone/);
  assert.equal(bench.clock.nowMs(), 1100);
});
