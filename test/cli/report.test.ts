/** `fedspine report` as a user runs it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ExitCode } from "../../src/base/errors.ts";
import { fedspine } from "../support/command.ts";
import { logText, runLog } from "../support/run-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("report writes one page, into the run folder or where it is told to", async (t) => {
  const folder = temporaryFolder(t);
  const lines = runLog({ devices: ["a", "b"], rounds: 2, perRound: 2 });
  writeFileSync(join(folder, "events.jsonl"), `${logText(lines)}{"at":1,"ki`);
  const own = await fedspine(["report", folder]);
  assert.equal(own.status, ExitCode.ok, own.stderr);
  assert.match(own.stderr, /^1 lines? of the run's events could not be read/);
  assert.match(readFileSync(join(folder, "report.html"), "utf8"), /<h1>plant-7<\/h1>/);
  const other = join(folder, "pages", "run.html");
  const told = await fedspine(["report", folder, "--out", other]);
  assert.equal(told.stdout, `wrote ${other}\n`);
  assert.ok(existsSync(other));
});

test("report of a folder without a run is a data error", async (t) => {
  const { status, stderr } = await fedspine(["report", temporaryFolder(t)]);
  assert.equal(status, ExitCode.data);
  assert.match(stderr, /is not the folder of a run/);
});
