/** Reading what runs leave behind, in every state of repair. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DataError } from "../../src/base/errors.ts";
import { parseEvents, readRun } from "../../src/report/run-record.ts";
import { logText, runLog } from "../support/run-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const lines = runLog({ devices: ["a", "b", "c"], rounds: 3, perRound: 2 });

test("every event that the report uses is read, and what it does not use is left out", () => {
  const { events, unreadableLines } = parseEvents(logText(lines));
  assert.equal(unreadableLines, 0);
  const unused = ["controller-decided", "round-finished"];
  assert.deepEqual(
    events.map(({ kind }) => kind),
    lines.map(({ kind }) => kind).filter((kind) => !unused.includes(kind)),
  );
});

test("a line that breaks off and one with a wrong value are counted and skipped", () => {
  const wrong = { at: 1, kind: "evaluated", round: 1, accuracy: "high", loss: 1, macroF1: 1 };
  const text = `${logText([...lines, wrong])}{"at":17953,"kind":"aggre`;
  const whole = parseEvents(logText(lines));
  assert.deepEqual(parseEvents(text), { ...whole, unreadableLines: 2 });
});

test("lines without the fields of pruning are read too", () => {
  const old = {
    ...{ at: 5, kind: "update-received", round: 1, device: "gw-1", updateBytes: 497_680 },
    ...{ uploadMs: 229.3, numSamples: 1482, steps: 60, lossFirst: 4.1, lossLast: 2.4 },
    ...{ trainMs: 2646.8, downloadMs: 1011.1, peakBytes: 52_893_696, residentBytes: 208_785_408 },
  };
  assert.equal(parseEvents(logText([old])).events.length, 1);
});

test("of a folder that was used twice the last run is read, with settings and summary", (t) => {
  const folder = temporaryFolder(t);
  const again = lines.map((line) => ({ ...line, at: line.at + 1e6 }));
  writeFileSync(join(folder, "events.jsonl"), logText([...lines, ...again]));
  writeFileSync(join(folder, "config.json"), JSON.stringify({ fleet: "plant-7" }));
  writeFileSync(
    join(folder, "simulation.json"),
    JSON.stringify({ settings: { seed: 4 }, base: "" }),
  );
  const devices = [{ id: "a", bytesUp: 1, bytesDown: 2, rounds: 3 }];
  writeFileSync(join(folder, "summary.json"), JSON.stringify({ dropped: { late: 2 }, devices }));
  const record = readRun(folder);
  assert.equal(record.events[0]?.at, again[0]?.at);
  assert.deepEqual(record.config, { fleet: "plant-7", simulation: { seed: 4 } });
  assert.deepEqual(record.summary, {
    dropped: { late: 2 },
    devices: [{ id: "a", bytesUp: 1, bytesDown: 2 }],
  });
});

test("the folder of a demo leads to the run in it", (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "run"));
  writeFileSync(join(folder, "run", "events.jsonl"), logText(lines));
  const record = readRun(folder);
  assert.ok(record.events.length > 0);
  assert.equal(record.summary, null);
});

test("a folder without events is refused with what was expected", (t) => {
  const folder = temporaryFolder(t);
  assert.throws(
    () => readRun(folder),
    (error) => {
      assert.ok(error instanceof DataError);
      assert.match(error.message, /not the folder of a run[\s\S]*events\.jsonl[\s\S]*hint/);
      return true;
    },
  );
  writeFileSync(join(folder, "events.jsonl"), "\n");
  assert.throws(() => readRun(folder), /holds no event/);
});
