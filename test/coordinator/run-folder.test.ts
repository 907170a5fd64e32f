/** The run folder: what is saved is what is loaded, one checkpoint at a time, and a run resumes only with what fits. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArray } from "../../src/base/arrays.ts";
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
  scale: 2,
  base: { "model.safetensors": "root" },
  before: null,
  after: null,
  fleet: {
    devices: { a: { structure: "e.ff8", rank: 2 } },
    controller: { kind: "fixed", state: { asked: [] } },
    meanScores: new Map([["scores.heads", hostArray([1, 3], Float32Array.of(1, 2, 3))]]),
    norms: { products: [1, 2], heads: [3] },
  },
};

test("the last checkpoint is loaded, the one before it is gone", (t) => {
  const folder = new RunFolder(temporaryFolder(t));
  assert.equal(folder.load(), undefined);
  const score = { accuracy: 0.5, loss: 1, macroF1: 0.4 };
  const after = { ...score, numDevices: 2, worst: { ...score, device: "a" } };
  folder.save({ ...RECORD, adapter: randomAdapter(Rng.fromSeed(1), 3), round: 1 });
  const second = randomAdapter(Rng.fromSeed(2), 3);
  const { path } = folder.save({ ...RECORD, adapter: second, round: 2, after });
  const loaded = must(folder.load());
  assert.equal(loaded.round, 2);
  assert.deepEqual(loaded.after, after);
  assert.deepEqual(loaded.fleet, RECORD.fleet);
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
  folder.save({ ...RECORD, adapter: randomAdapter(Rng.fromSeed(1), 3), round: 1 });
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

test("a run resumes with the same ranks, scale, controller and base only", () => {
  const settings = { base: "x", labels: ["a"], plan: { rank: 3, alpha: 6 } };
  expectSameModel(RECORD, CONFIG, RECORD.base);
  expectSameModel(RECORD, parseCoordinatorConfig({ ...settings, rounds: 99 }), RECORD.base);
  for (const other of [
    { plan: { rank: 4, alpha: 8 } },
    { plan: { rank: 3, alpha: 3 } },
    { serverRank: 6 },
    { controller: { kind: "random" }, ranks: [3] },
  ]) {
    const config = parseCoordinatorConfig({ ...settings, ...other });
    assert.throws(() => expectSameModel(RECORD, config, RECORD.base), ConfigError);
  }
  assert.throws(
    () => expectSameModel(RECORD, CONFIG, { "model.safetensors": "else" }),
    /model.safetensors/,
  );
  assert.throws(
    () => expectSameModel(RECORD, CONFIG, { ...RECORD.base, "more.json": "root" }),
    /more.json/,
  );
});
