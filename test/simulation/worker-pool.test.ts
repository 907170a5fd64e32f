/** The worker threads of a simulation: failures stay with their jobs, and what is not wanted is not begun. */
import { test, type TestContext } from "node:test";
import assert from "node:assert/strict";
import { RoundError } from "../../src/base/errors.ts";
import type { ScoreJob } from "../../src/simulation/trainer-jobs.ts";
import { WorkerPool } from "../../src/simulation/worker-pool.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel } from "../support/tiny-model.ts";

const SCORE: ScoreJob = { kind: "score", adapter: null, structure: null, maxTokens: 16 };

function openPool(t: TestContext, numWorkers: number): WorkerPool {
  const baseFolder = copyTinyModel("bert-classify", temporaryFolder(t), { tokenizer: "encoder" });
  const labels = ["a", "b", "c"];
  const test = labels.map((label) => ({ text: `the pump ${label}`, label }));
  const setup = { baseFolder, labels, kernels: "simd", baseDtype: "f32", parts: [], test } as const;
  const pool = new WorkerPool(setup, numWorkers);
  t.after(() => pool.close());
  return pool;
}

test("every worker gives the same answer", async (t) => {
  const pool = openPool(t, 2);
  const [first, ...others] = await Promise.all([1, 2, 3, 4].map(() => pool.run(SCORE)));
  assert.ok(first !== undefined && Number.isFinite(first.loss));
  for (const other of others) assert.deepEqual(other, first);
});

test("a job that fails says why, and the worker goes on", async (t) => {
  const pool = openPool(t, 1);
  const broken = { ...SCORE, adapter: Uint8Array.of(1, 2, 3) };
  await assert.rejects(pool.run(broken), (error) => error instanceof RoundError);
  assert.ok(Number.isFinite((await pool.run(SCORE)).loss));
});

test("aborted jobs reject at once, whether waiting or under way, and the others are done", async (t) => {
  const pool = openPool(t, 1);
  const stop = new AbortController();
  const running = pool.run(SCORE, stop.signal);
  const waiting = pool.run(SCORE, stop.signal);
  const other = pool.run(SCORE);
  stop.abort(new RoundError("no longer wanted"));
  await assert.rejects(running, /no longer wanted/);
  await assert.rejects(waiting, /no longer wanted/);
  await assert.rejects(pool.run(SCORE, stop.signal), /no longer wanted/);
  assert.ok(Number.isFinite((await other).loss));
});

test("closing rejects what is under way and what comes later", async (t) => {
  const pool = openPool(t, 1);
  const jobs = [pool.run(SCORE), pool.run(SCORE)];
  const closed = pool.close();
  for (const job of jobs) await assert.rejects(job, /closed/);
  await closed;
  await assert.rejects(pool.run(SCORE), /closed/);
});
