/** The run folder: what is saved is what is loaded, one checkpoint at a time, and a run resumes only with what fits. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { RunFolder, expectSameModel } from "../../src/coordinator/run-folder.ts";
import { moduleNamed, randomAdapter } from "../support/adapters.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { must } from "../support/must.ts";

const CONFIG = parseCoordinatorConfig({ base: "x", labels: ["a"], plan: { rank: 3, alpha: 6 } });
const RECORD = {
  rank: 3,
  alpha: 6,
  base: { "model.safetensors": "root" },
  before: null,
  after: null,
};

test("the last checkpoint is loaded, the one before it is gone", (t) => {
  const folder = new RunFolder(temporaryFolder(t));
  assert.equal(folder.load(), undefined);
  const evaluation = { accuracy: 0.5, loss: 1, macroF1: 0.4 };
  folder.save(randomAdapter(Rng.fromSeed(1), 3), { ...RECORD, round: 1 });
  const second = randomAdapter(Rng.fromSeed(2), 3);
  const { path } = folder.save(second, { ...RECORD, round: 2, after: evaluation });
  const loaded = must(folder.load());
  assert.equal(loaded.round, 2);
  assert.deepEqual(loaded.after, evaluation);
  assert.deepEqual(
    moduleNamed(loaded.adapter, "layers.0.query"),
    moduleNamed(second, "layers.0.query"),
  );
  const left = readdirSync(folder.path).filter((name) => name.endsWith(".safetensors"));
  assert.deepEqual(left, ["adapter-round-2.safetensors"]);
  assert.equal(path, join(folder.path, "adapter-round-2.safetensors"));
});

test("a checkpoint that was written in part is never the one that counts", (t) => {
  const folder = new RunFolder(temporaryFolder(t));
  folder.save(randomAdapter(Rng.fromSeed(1), 3), { ...RECORD, round: 1 });
  writeFileSync(join(folder.path, "adapter-round-2.safetensors"), "half a fi");
  assert.equal(folder.load()?.round, 1);
});

test("a run keeps its name, and its events are one line each", (t) => {
  const folder = new RunFolder(join(temporaryFolder(t), "new"));
  assert.equal(folder.identity(), undefined);
  folder.begin({ run: "run-12345", epoch: 7 }, CONFIG);
  assert.deepEqual(folder.identity(), { run: "run-12345", epoch: 7 });
  folder.log(12.7, { kind: "finished", ok: true, reason: "done" });
  folder.log(13, { kind: "device-left", device: "a", reason: "silent" });
  const lines = readFileSync(join(folder.path, "events.jsonl"), "utf8").split("\n");
  assert.equal(lines[0], '{"at":13,"kind":"finished","ok":true,"reason":"done"}');
  assert.equal(lines.length, 3);
  assert.deepEqual(JSON.parse(readFileSync(join(folder.path, "config.json"), "utf8")), CONFIG);
});

test("a run resumes with the same rank, alpha and base only", () => {
  const record = { ...RECORD, round: 1, adapterFile: "x" };
  expectSameModel(record, CONFIG, RECORD.base);
  const other = parseCoordinatorConfig({ base: "x", labels: ["a"], plan: { rank: 4, alpha: 6 } });
  assert.throws(() => expectSameModel(record, other, RECORD.base), ConfigError);
  assert.throws(
    () => expectSameModel(record, CONFIG, { "model.safetensors": "else" }),
    /model.safetensors/,
  );
  assert.throws(
    () => expectSameModel(record, CONFIG, { ...RECORD.base, "more.json": "root" }),
    /more.json/,
  );
});
