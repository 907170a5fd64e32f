/** The run folder: the checkpoint is what the journal points to, old adapters go, and a run resumes only with what fits. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { hostArray } from "../../src/base/arrays.ts";
import { ConfigError, DataError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { RunFolder, expectSameModel } from "../../src/coordinator/run-folder.ts";
import { newRecord } from "../../src/coordinator/run-record.ts";
import { moduleNamed, randomAdapter } from "../support/adapters.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { must } from "../support/must.ts";

const CONFIG = parseCoordinatorConfig({ base: "x", labels: ["a"], plan: { rank: 3, alpha: 6 } });
const SCORES = new Map([["scores.heads", hostArray([1, 3], Float32Array.of(1, 2, 3))]]);
const CHECKPOINT = {
  rank: 3,
  scale: 2,
  base: { "model.safetensors": "root" },
  before: null,
  after: null,
  fleet: {
    devices: { a: { structure: "e.ff8", rank: 2 } },
    controller: { kind: "fixed", state: { asked: [] } },
    norms: null,
  },
};
const RECORD = { ...CHECKPOINT, fleet: { ...CHECKPOINT.fleet, meanScores: SCORES } };

/** Saves an adapter; the record then points to it. */
function saved(folder: RunFolder, round: number, adapter: AdapterState) {
  const { file } = folder.saveAdapter(round, adapter, SCORES);
  const checkpoint = { ...CHECKPOINT, round, adapterFile: file };
  return { ...newRecord("run-12345", 1, 0), checkpoint };
}

test("a checkpoint is loaded with the adapter that it points to; what else lies there goes", (t) => {
  const folder = new RunFolder(temporaryFolder(t));
  assert.equal(folder.load(newRecord("run-12345", 1, 0)), undefined);
  const first = saved(folder, 1, randomAdapter(Rng.fromSeed(1), 3));
  const second = randomAdapter(Rng.fromSeed(2), 3);
  const record = saved(folder, 2, second);
  assert.equal(must(folder.load(first)).round, 1);
  const loaded = must(folder.load(record));
  assert.equal(loaded.round, 2);
  assert.deepEqual(loaded.fleet, RECORD.fleet);
  assert.deepEqual(
    moduleNamed(loaded.adapter, "layers.0.query"),
    moduleNamed(second, "layers.0.query"),
  );
  writeFileSync(join(folder.path, "adapter-round-3.safetensors.part"), "half a fi");
  folder.tidy(record.checkpoint.adapterFile);
  assert.deepEqual(readdirSync(folder.path), ["adapter-round-2.safetensors"]);
});

test("events are one line each, and the settings lie beside them", (t) => {
  const folder = new RunFolder(join(temporaryFolder(t), "new"));
  folder.begin(CONFIG);
  folder.log(12.7, { kind: "finished", ok: true, reason: "done" });
  folder.log(13, { kind: "device-left", device: "a", reason: "silent" });
  const lines = readFileSync(join(folder.path, "events.jsonl"), "utf8").split("\n");
  assert.equal(lines[0], '{"at":13,"kind":"finished","ok":true,"reason":"done"}');
  assert.equal(lines.length, 3);
  assert.deepEqual(JSON.parse(readFileSync(join(folder.path, "config.json"), "utf8")), CONFIG);
});

test("a probe leaves nothing, and says when the folder takes nothing", (t) => {
  const path = temporaryFolder(t);
  new RunFolder(path).probe(100_000);
  assert.deepEqual(readdirSync(path), []);
  writeFileSync(join(path, "file"), "");
  const broken = new RunFolder(join(path, "file"));
  assert.throws(() => broken.probe(10));
  assert.throws(() => broken.saveAdapter(1, randomAdapter(Rng.fromSeed(1), 3), SCORES), DataError);
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
