/** The base in memory: when it is sliced, when it is loaded anew, and that it starts alike every time. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { Worker } from "node:worker_threads";
import { fullStructure, type Structure } from "../../../src/base/structure.ts";
import { ResidentBase } from "../../../src/device/training/resident-base.ts";
import { loadModel } from "../../../src/models/load.ts";
import type { Model } from "../../../src/models/model.ts";
import { Engine } from "../../../src/tensor/engine.ts";
import { copyToHost } from "../../../src/tensor/named-tensors.ts";
import { tinyFolder } from "../../support/tiny-model.ts";

const folder = tinyFolder("bert-classify");
const labels = ["cold", "hot", "wet"];
const full = fullStructure({ layers: 2, heads: 4, ffn: 24 });

/** The first so many channels of every layer. */
function channels(count: number): Structure {
  return { layers: full.layers.map(({ heads, ffn }) => ({ heads, ffn: ffn.slice(0, count) })) };
}

const values = (model: Model) => copyToHost(model.store.all());

function fresh(structure: Structure) {
  const options = { task: "classify", labels, headSeed: 1, structure } as const;
  return values(loadModel(Engine.create(), folder, options));
}

function resident(): ResidentBase {
  return new ResidentBase({ folder, labels, kernels: "simd" });
}

test("few units go in place, many by way of a new engine, and units that come back do as well", () => {
  const base = resident();
  const whole = base.in(full);
  const fewer = base.in(channels(22));
  assert.equal(fewer.engine, whole.engine);
  assert.deepEqual(values(fewer), fresh(channels(22)));
  const few = base.in(channels(4));
  assert.notEqual(few.engine, whole.engine);
  assert.deepEqual(values(few), fresh(channels(4)));
  const again = base.in(channels(6));
  assert.notEqual(again.engine, few.engine);
  assert.deepEqual(values(again), fresh(channels(6)));
});

test("small cuts that add up end in a new engine as well", () => {
  const base = resident();
  const first = base.in(full).engine;
  const engines = [22, 20, 18, 16, 14, 12].map((count) => base.in(channels(count)).engine);
  assert.equal(engines[0], first);
  assert.ok(new Set(engines).size > 1);
  const { weights } = base.in(channels(12)).engine.stats;
  assert.ok(weights < 0.9 * wholeBytes());
});

/** Bytes of the unpruned weights. */
function wholeBytes(): number {
  return resident().in(full).engine.stats.weights;
}

test("the head starts as it was loaded, also when it was trained in between", () => {
  const base = resident();
  const head = (model: Model) => model.headParameters().map(({ tensor }) => tensor.toHost());
  const before = head(base.in(full));
  for (const { tensor } of base.in(full).headParameters()) tensor.f32.fill(3);
  assert.deepEqual(head(base.in(full)), before);
});

test("weights that were changed are loaded anew once they are discarded", () => {
  const base = resident();
  const model = base.in(full);
  model.linears()[0]?.weight.tensor.f32.fill(9);
  base.discard();
  assert.deepEqual(values(base.in(full)), fresh(full));
});

test("an engine that the base no longer lives in ends its threads", async () => {
  const base = new ResidentBase({ folder, labels, kernels: "simd", threads: 2 });
  const started = once(process, "worker");
  const first = base.in(full);
  assert.equal(first.engine.threads, 2);
  const [worker] = (await started) as [Worker];
  worker.ref();
  const isGone = once(worker, "exit");
  assert.notEqual(base.in(channels(4)).engine, first.engine);
  await isGone;
  base.discard();
});
