/** The record of a run: its entries add up the same wherever the journal is cut and taken up again, and a killed run goes on from it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigError } from "../../src/base/errors.ts";
import { durableRound, restoredRound, roundPatch } from "../../src/coordinator/durable-round.ts";
import { newRun } from "../../src/coordinator/round-machine.ts";
import type { RoundState, Task } from "../../src/coordinator/round-state.ts";
import {
  type EntryPart,
  RunJournal,
  readRunRecord,
  rewindRun,
  takeUnsynced,
} from "../../src/coordinator/run-journal.ts";
import { must } from "../support/must.ts";
import { REPORT, ROOT } from "../support/messages.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const UPDATE = { root: ROOT, sizeBytes: 10, round: 1, report: REPORT, uploadMs: 5, rank: 3 };
const ACCEPTED = { ...UPDATE, sparsity: 0 };
const ANSWER = { device: "a", root: ROOT, reason: null };
const CHECKPOINT = {
  ...{ round: 1, adapterFile: "adapter-round-1.safetensors", rank: 3, scale: 2, base: {} },
  ...{ before: null, after: null },
  fleet: { devices: {}, controller: { kind: "fixed", state: {} }, norms: null },
};

class Site {
  readonly runFolder: string;
  nowMs = 1_700_000_000_000;

  constructor(runFolder: string) {
    this.runFolder = runFolder;
  }

  open(resume: boolean): RunJournal {
    return RunJournal.open({
      ...{ runFolder: this.runFolder, take: takeUnsynced, resume },
      nowMs: () => this.nowMs,
      nameRun: () => "run-12345",
    });
  }
}

const phases = ["waiting", "training", "aggregating", "evaluating", "saving"] as const;
const device = fc.constantFrom("a", "b", "c");
const task: fc.Arbitrary<Task> = fc.constantFrom<Task>(
  { status: "asked" },
  { status: "done" },
  { status: "failed" },
  { status: "fetching", blob: { root: ROOT, sizeBytes: 10 }, report: REPORT },
);
const state: fc.Arbitrary<RoundState> = fc.record({
  phase: fc.constantFrom(...phases),
  round: fc.nat(5),
  attempt: fc.nat(3),
  present: fc.array(device).map((ids) => new Set(ids)),
  tasks: fc.array(fc.tuple(device, task)).map((entries) => new Map(entries)),
  accepted: fc
    .array(
      fc.tuple(
        device,
        fc.nat(5).map((round) => ({ round, root: ROOT })),
      ),
    )
    .map((entries) => new Map(entries)),
  reason: fc.constant(""),
});

test("patches of any states add up to the last one, wherever the journal is taken up again", (t) => {
  const folder = temporaryFolder(t);
  let numRuns = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(state, fc.boolean()), { maxLength: 12 }), (steps) => {
      const site = new Site(join(folder, String(numRuns++)));
      let journal = site.open(false);
      let isBegun = false;
      for (const [next, isKilled] of steps) {
        const round = roundPatch(journal.record.round, durableRound(next));
        if (round !== null) journal.append({ round });
        isBegun = true;
        site.nowMs += 1000;
        if (!isKilled) continue;
        journal.close();
        journal = site.open(isBegun);
      }
      const last = steps.at(-1)?.[0];
      if (last !== undefined) assert.deepEqual(journal.record.round, durableRound(last));
      assert.deepEqual(must(readRunRecord(site.runFolder)).round, journal.record.round);
      journal.close();
    }),
    { numRuns: 60 },
  );
});

test("what outlives the process is all but who is here, transfers count as asked, and jobs begin again", () => {
  const tasks = new Map<string, Task>([
    ["a", { status: "fetching", blob: { root: ROOT, sizeBytes: 10 }, report: REPORT }],
    ["b", { status: "done" }],
  ]);
  const before: RoundState = { ...newRun, phase: "saving", round: 3, present: new Set("a"), tasks };
  const after = restoredRound(durableRound(before), ["b"]);
  assert.equal(after.phase, "aggregating");
  assert.deepEqual([...after.present], ["b"]);
  assert.deepEqual(after.tasks.get("a"), { status: "asked" });
  assert.deepEqual(after.tasks.get("b"), { status: "done" });
});

test("updates count once in the sums, answers are kept for the last few messages, and noted things come along", (t) => {
  const site = new Site(temporaryFolder(t));
  const journal = site.open(false);
  const parts: EntryPart[] = [
    { round: { fields: { phase: "training", round: 1 } } },
    { accepted: { a: ACCEPTED }, answers: [{ ...ANSWER, id: "1" }] },
    ...["2", "3", "4", "5"].map((id): EntryPart => ({ answers: [{ ...ANSWER, id }] })),
  ];
  journal.note({ joined: { a: "gateway" } });
  for (const part of parts) journal.append(part);
  journal.note({ joined: { b: "lost with its process" } });
  const record = must(readRunRecord(site.runFolder));
  assert.equal(must(record.totals["a"]).rounds, 1);
  assert.equal(must(record.totals["a"]).type, "gateway");
  assert.equal(record.totals["b"], undefined);
  assert.deepEqual(record.updates, { a: ACCEPTED });
  assert.deepEqual(
    must(record.answers["a"]).map(({ id }) => id),
    ["2", "3", "4", "5"],
  );
});

test("a settled round leaves its checkpoint and sums, and only updates that are not in it", (t) => {
  const site = new Site(temporaryFolder(t));
  const journal = site.open(false);
  journal.append({ accepted: { a: ACCEPTED, b: ACCEPTED } });
  const traffic = new Map([["a", { up: 7, down: 9 }]]);
  journal.settle({
    ...{ checkpoint: CHECKPOINT, merged: ["a"], decided: null, traffic, dropped: { late: 2 } },
  });
  const record = must(readRunRecord(site.runFolder));
  assert.deepEqual(record, journal.record);
  assert.deepEqual(Object.keys(record.updates), ["b"]);
  assert.deepEqual([must(record.totals["a"]).bytesUp, must(record.totals["a"]).rounds], [7, 1]);
  assert.deepEqual(record.dropped, { late: 2 });
  journal.append({ round: { fields: { phase: "training", round: 2 } } });
  journal.close();
  rewindRun(site.runFolder, 5, takeUnsynced);
  assert.deepEqual(must(readRunRecord(site.runFolder)), { ...record, epoch: 5 });
});

test("each incarnation is above the last, and the time without one does not count", (t) => {
  const site = new Site(temporaryFolder(t));
  const first = site.open(false);
  const { epoch } = first.record;
  first.append({ round: { fields: { phase: "training" } } });
  site.nowMs += 4000;
  first.append({ answers: [] });
  first.close();
  site.nowMs += 3_600_000;
  const second = site.open(true);
  assert.ok(second.record.epoch > epoch);
  assert.equal(second.record.lastMs - second.record.phaseMs, 4000);
  assert.equal(second.record.run, "run-12345");
  second.close();
  site.nowMs -= 86_400_000;
  const third = site.open(true);
  assert.ok(third.record.epoch > second.record.epoch, "although the clock was set back");
});

test("a run is begun once and resumed when there is one; what never began can be begun", (t) => {
  const site = new Site(temporaryFolder(t));
  assert.throws(() => site.open(true), ConfigError);
  site.open(false).close();
  const journal = site.open(false);
  journal.append({ round: { fields: { phase: "measuring" } } });
  journal.close();
  assert.throws(() => site.open(false), ConfigError);
  site.open(true).close();
});

test("a run that was given up is tried again from its last checkpoint", (t) => {
  const site = new Site(temporaryFolder(t));
  const journal = site.open(false);
  journal.settle({
    ...{ checkpoint: CHECKPOINT, merged: [], decided: null, traffic: new Map(), dropped: {} },
  });
  const fields = { phase: "finished", round: 2, reason: "too few devices" };
  journal.append({ round: { fields }, accepted: { a: ACCEPTED } });
  journal.close();
  const { record } = site.open(true);
  assert.deepEqual([record.round.fields["phase"], record.round.fields["round"]], ["new", 1]);
  assert.deepEqual(record.updates, {});
});
