/** Events of a run become a curve whose costs add up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { traceOf } from "../../../bench/reproduce/trace.ts";
import { runLog } from "../../support/run-log.ts";

const events = runLog({ devices: ["a", "b", "c"], rounds: 4, perRound: 2 });

test("costs of a round are there from its score on", () => {
  const { points, rounds, ok } = traceOf(events);
  assert.deepEqual(
    points.map(({ round }) => round),
    [0, 1, 2, 3, 4],
  );
  assert.ok(ok);
  assert.equal(rounds, 4);
  let [timeMs, bytes, gflop] = [0, 0, 0];
  for (const point of points) {
    for (const event of events) {
      if (!("round" in event) || event.round !== point.round) continue;
      if (event.kind === "round-finished") timeMs += event.durationMs;
      if (event.kind !== "update-received") continue;
      bytes += event.updateBytes + event.bytesDown;
      gflop += 2 * event.steps;
    }
    assert.deepEqual([point.timeMs, point.bytes], [timeMs, bytes]);
    assert.ok(Math.abs(point.gflop - gflop) < 1e-9);
  }
});

test("rounds that were not scored cost but make no point", () => {
  const sparse = events.filter((event) => event.kind !== "evaluated" || event.round % 2 === 0);
  const [all, some] = [traceOf(events), traceOf(sparse)];
  assert.deepEqual(
    some.points,
    all.points.filter(({ round }) => round % 2 === 0),
  );
});

test("the worst device and the last sparsity of every device are kept", () => {
  const { points, sparsity } = traceOf(events);
  const last = points.at(-1);
  assert.ok(last !== undefined && last.worst < last.accuracy);
  const final = new Map<string, number>();
  for (const event of events) {
    if (event.kind === "update-received") final.set(event.device, event.sparsity);
  }
  const mean = [...final.values()].reduce((sum, value) => sum + value, 0) / final.size;
  assert.equal(sparsity, mean);
});

test("a run that was broken off is no result", () => {
  const { ok, reason } = traceOf(events.slice(0, -1));
  assert.equal(ok, false);
  assert.match(reason, /did not end/);
});
