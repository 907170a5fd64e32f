/** `fedspine simulate`: settings from a file, records on stdout, and an interruption by hand. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { ExitCode } from "../../src/base/errors.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { sentences } from "../support/small-simulation.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel } from "../support/tiny-model.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

function writeSimulation(folder: string, changes: Readonly<Record<string, unknown>> = {}): string {
  copyTinyModel("bert-classify", join(folder, "base"), { tokenizer: "encoder" });
  writeFileSync(join(folder, "data.tsv"), sentences());
  const link = { name: "wire", count: 1, upMegabitsPerSecond: 8, downMegabitsPerSecond: 8 };
  const board = { type: "box", count: 1, memoryBytes: 2 ** 30, secondsPerGflop: 10 };
  writeFileSync(join(folder, "site.yaml"), stringify({ boards: [board], links: [link] }));
  const file = join(folder, "run.yaml");
  const settings = {
    base: "base",
    data: { source: "data.tsv", maxTestExamples: 8 },
    fleet: { profile: "site.yaml", devices: 3 },
    coordinator: { rounds: 2, plan: { steps: 2, batchSize: 4, maxTokens: 16 } },
    ...changes,
  };
  writeFileSync(file, stringify(settings));
  return file;
}

test("a simulation reads paths relative to its file and ends with a summary", async (t) => {
  const folder = temporaryFolder(t);
  const out = join(folder, "out");
  const lines = await fedspineJson(["simulate", writeSimulation(folder), "--out", out]);
  const { summary } = lines.at(-1) as { summary: Record<string, unknown> };
  assert.equal(summary["ok"], true);
  assert.equal(summary["rounds"], 2);
  assert.equal((summary["perRound"] as unknown[]).length, 2);
  assert.equal((summary["devices"] as unknown[]).length, 3);
  const { folder: shown, ...saved } = summary;
  assert.equal(shown, out);
  assert.deepEqual(JSON.parse(readFileSync(join(out, "summary.json"), "utf8")), saved);
});

test("an interrupted simulation says how to go on, and does", async (t) => {
  const folder = temporaryFolder(t);
  const file = writeSimulation(folder, {
    coordinator: { rounds: 200, plan: { steps: 2, batchSize: 4, maxTokens: 16 } },
  });
  const out = join(folder, "out");
  const child = execFile(process.execPath, [MAIN, "simulate", file, "--out", out]);
  let [shown, said] = ["", ""];
  child.stdout?.on("data", (text: string) => {
    shown += text;
    if (/took +round 2:/.test(shown)) child.kill("SIGINT");
  });
  child.stderr?.on("data", (text: string) => (said += text));
  const status = await new Promise((resolve) => child.once("close", resolve));
  assert.equal(status, ExitCode.failed, said);
  assert.match(said, /--resume/);
  assert.equal(existsSync(join(out, "summary.json")), false);
  const wrong = await fedspine(["simulate", file, "--out", out]);
  assert.equal(wrong.status, ExitCode.usage);
  assert.match(wrong.stderr, /holds a run already/);
});

test("a mistake in the file is named with the nearest key", async (t) => {
  const folder = temporaryFolder(t);
  const file = writeSimulation(folder, { partitions: { kind: "iid" } });
  const { status, stderr } = await fedspine(["simulate", file, "--out", join(folder, "out")]);
  assert.equal(status, ExitCode.usage);
  assert.match(stderr, /unknown key partitions\nhint: did you mean partition\?/);
});
