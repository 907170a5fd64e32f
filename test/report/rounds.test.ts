/** Events become rounds: times, waiting, restarts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { deviceFacts } from "../../src/report/devices.ts";
import { meanOf, runFacts } from "../../src/report/rounds.ts";
import { parseEvents } from "../../src/report/run-record.ts";
import { logText, runLog, type LogLine } from "../support/run-log.ts";

const lines = runLog({ devices: ["gw-10", "gw-2", "gw-1"], rounds: 4, perRound: 2 });

function factsOf(log: readonly LogLine[]): ReturnType<typeof runFacts> {
  return runFacts(parseEvents(logText(log)).events);
}

test("a device waits from its own end to that of the slowest", () => {
  const { rounds } = factsOf(lines);
  assert.equal(rounds.length, 4);
  for (const { updates } of rounds) {
    const slowestMs = Math.max(...updates.map(({ completionMs }) => completionMs));
    assert.equal(updates.length, 2);
    for (const { completionMs, waitingMs, ...update } of updates) {
      assert.equal(completionMs, update.trainMs + update.downloadMs + update.uploadMs);
      assert.equal(waitingMs, slowestMs - completionMs);
    }
  }
});

test("a run is unfinished until it says how it ended", () => {
  assert.deepEqual(factsOf(lines).end, { ok: true, reason: "all rounds are done" });
  const cut = factsOf(lines.slice(0, -6));
  assert.equal(cut.end, null);
  assert.equal(cut.rounds.at(-1)?.endMs, null);
});

test("a restart forgets what it did not save, and the pause does not count as time", () => {
  const second = lines.findIndex(({ kind }, i) => kind === "round-started" && i > 8);
  const pauseMs = 3_600_000;
  const rest = lines.slice(second).map((line) => ({ ...line, at: line.at + pauseMs }));
  const at = (lines[second]?.at ?? 0) + pauseMs;
  const restart: LogLine = {
    ...{ at, kind: "run-started", fleet: "plant-7", rounds: 4, epoch: 2, resumedRound: 1 },
  };
  // Two lines of the second round were there when it stopped.
  const resumed = factsOf([...lines.slice(0, second + 2), restart, ...rest]);
  const straight = factsOf(lines);
  assert.equal(resumed.restarts, 1);
  assert.deepEqual(
    resumed.rounds.map(({ round, updates }) => [round, updates.length]),
    straight.rounds.map(({ round, updates }) => [round, updates.length]),
  );
  assert.equal(resumed.durationMs, straight.durationMs);
});

test("a mean over updates that lack the number is unknown", () => {
  const [first] = factsOf(lines).rounds;
  assert.ok(first !== undefined);
  assert.equal(
    meanOf(first.updates, () => 3),
    3,
  );
  assert.equal(
    meanOf(first.updates, () => undefined),
    null,
  );
  assert.equal(
    meanOf([], () => 3),
    null,
  );
});

test("devices are in the order of their numbers, and the summary's bytes win over those of updates", () => {
  const { events } = parseEvents(logText(lines));
  const facts = runFacts(events);
  const record = { name: "run", events, unreadableLines: 0, config: {}, summary: null };
  const devices = deviceFacts(record, facts);
  assert.deepEqual(
    devices.map(({ id }) => id),
    ["gw-1", "gw-2", "gw-10"],
  );
  assert.equal(
    devices.reduce((sum, { rounds }) => sum + rounds, 0),
    8,
  );
  const [first] = devices;
  assert.ok(first !== undefined);
  const own = facts.rounds.flatMap(({ updates }) =>
    updates.filter(({ device }) => device === "gw-1"),
  );
  assert.equal(
    first.bytesUp,
    own.reduce((sum, { updateBytes }) => sum + updateBytes, 0),
  );
  assert.equal(first.sparsity, own.at(-1)?.sparsity);
  const summary = { dropped: {}, devices: [{ id: "gw-1", bytesUp: 7, bytesDown: 8 }] };
  const [counted] = deviceFacts({ ...record, summary }, facts);
  assert.deepEqual([counted?.bytesUp, counted?.bytesDown], [7, 8]);
});

test("rounds say how old the updates were that they merged, and old logs say nothing", () => {
  const aged = lines.map((line) =>
    line.kind === "aggregated" ? { ...line, meanStaleness: 1.5 } : line,
  );
  assert.deepEqual(
    factsOf(aged).rounds.map(({ meanStaleness }) => meanStaleness),
    [1.5, 1.5, 1.5, 1.5],
  );
  const old = lines.map((line) =>
    Object.fromEntries(Object.entries(line).filter(([key]) => !key.endsWith("Staleness"))),
  ) as unknown as LogLine[];
  assert.ok(factsOf(old).rounds.every(({ meanStaleness }) => meanStaleness === 0));
});
