/** Rounds of one device on a tiny model: what it trains, how it shrinks, what it remembers and what it reports. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError, ConfigError } from "../../src/base/errors.ts";
import {
  encodeStructure,
  fullStructure,
  isSameStructure,
  isSubset,
  unitKinds,
} from "../../src/base/structure.ts";
import { bodySparsity, unitParameters, bodyParameters } from "../../src/cost/parameters.ts";
import { fileMemory, volatileMemory } from "../../src/device/training/trainer-memory.ts";
import { encodeAdapterFile } from "../../src/io/adapter-file.ts";
import { withOwnership } from "../../src/strategies/aggregation/narrow.ts";
import { must } from "../support/must.ts";
import {
  examples,
  PLAN,
  PRUNING,
  round,
  tinyBase,
  tinyDevice,
  type RoundOfOne,
  type TinyDevice,
} from "../support/tiny-device.ts";

/** Half a channel of the tiny model, as a share of its body. */
function halfChannel({ shape }: TinyDevice): number {
  return unitParameters(shape, "ffn") / 2 / bodyParameters(shape, fullStructure(shape.units));
}

const pruneTo = (sparsity: number, changes: Partial<typeof PRUNING> = {}) => ({
  pruning: { ...PRUNING, sparsity, ...changes },
});

test("a device learns what its data say, on all of them when nothing is pruned", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const { report, losses, structure } = await round(device, { steps: 30 });
  assert.equal(losses.length, 30);
  assert.ok(report.lossLast < 0.7 * report.lossFirst, `${report.lossFirst} to ${report.lossLast}`);
  assert.equal(report.numSamples, 40);
  assert.equal(report.heldOutLoss, null);
  assert.equal(report.sparsity, 0);
  assert.equal(report.rank, PLAN.rank);
  assert.ok(report.importance > 0);
  assert.deepEqual(structure, fullStructure(device.shape.units));
});

test("rounds repeat to the bit, whatever was trained in between", async (t) => {
  const folder = tinyBase(t);
  const device = await tinyDevice(folder);
  const first = await round(device, {});
  await round(device, { seed: 9 }, first.update);
  const again = await round(device, {});
  assert.deepEqual(again.update, first.update);
  assert.deepEqual((await round(await tinyDevice(folder), {})).update, first.update);
});

test("every score reaches the target within half a channel before the first step", async (t) => {
  const folder = tinyBase(t);
  for (const score of ["fisher", "lora-prune", "magnitude", "activation", "random"] as const) {
    const device = await tinyDevice(folder);
    const { report, structure, modules } = await round(device, pruneTo(0.3, { score }));
    assert.ok(Math.abs(report.sparsity - 0.3) <= halfChannel(device) + 1e-12, score);
    assert.equal(report.sparsity, bodySparsity(device.shape, structure));
    const owned = withOwnership({ modules, heads: new Map() }, device.shape, structure);
    assert.ok("state" in owned, score);
    const ids = structure.layers.flatMap(({ ffn }) => ffn);
    assert.ok(ids.includes(0) || ids.includes(1), "not simply the first ones went");
  }
});

test("a smaller model takes less memory and its steps start from what was learnt before", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const whole = await round(device, { steps: 30 });
  const pruned = await round(device, { ...pruneTo(0.4), steps: 4 }, whole.update);
  assert.ok(pruned.report.peakBytes < 0.85 * whole.report.peakBytes);
  assert.ok(pruned.report.lossFirst < whole.report.lossFirst);
});

async function rounds(
  makeDevice: () => Promise<TinyDevice>,
  targets: readonly number[],
): Promise<RoundOfOne[]> {
  const done: RoundOfOne[] = [];
  for (const sparsity of targets) {
    const device = await makeDevice();
    const seed = 10 + done.length;
    done.push(await round(device, { ...pruneTo(sparsity), seed }, done.at(-1)?.update ?? null));
  }
  return done;
}

test("over rounds units only go, and a target that stays or falls takes none", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const done = await rounds(() => Promise.resolve(device), [0, 0.1, 0.25, 0.25, 0.1, 0.5]);
  const sparsities = done.map(({ report }) => report.sparsity);
  [0, 0.1, 0.25, 0.25, 0.25, 0.5].forEach((target, i) => {
    assert.ok(Math.abs(must(sparsities[i]) - target) <= halfChannel(device) + 1e-12, String(i));
  });
  done.forEach(({ structure }, i) => {
    if (i > 0) assert.ok(isSubset(structure, must(done[i - 1]).structure));
  });
  assert.ok(isSameStructure(must(done[4]).structure, must(done[2]).structure));
});

test("a device that starts anew in every round goes on to the bit where it stopped", async (t) => {
  const folder = tinyBase(t);
  const targets = [0, 0.15, 0.3];
  const device = await tinyDevice(folder);
  const whole = await rounds(() => Promise.resolve(device), targets);
  const memory = fileMemory(join(folder, "..", "state", "pruning.safetensors"));
  const restarted = await rounds(() => tinyDevice(folder, { memory }), targets);
  whole.forEach(({ update }, i) => assert.deepEqual(must(restarted[i]).update, update));
  // Without its memory it would measure its scores again, and choose otherwise.
  const forgetful = await rounds(() => tinyDevice(folder), targets);
  assert.notDeepEqual(must(forgetful[2]).update, must(whole[2]).update);
});

test("what was pruned in another run, or is damaged, does not count", async (t) => {
  const folder = tinyBase(t);
  const memory = volatileMemory();
  await round(await tinyDevice(folder, { memory }), pruneTo(0.4));
  const saved = must(memory.load());
  const fresh = await round(await tinyDevice(folder), pruneTo(0));
  const sameRun = await round(
    await tinyDevice(folder, { memory: volatileMemory(saved) }),
    pruneTo(0),
  );
  assert.ok(sameRun.report.sparsity > 0.3);
  for (const options of [
    { memory: volatileMemory(saved), run: "another" },
    { memory: volatileMemory(saved.subarray(0, 100)) },
    { memory: volatileMemory(new Uint8Array()) },
  ]) {
    const { update } = await round(await tinyDevice(folder, options), pruneTo(0));
    assert.deepEqual(update, fresh.update);
  }
});

test("training that was stopped leaves no trace", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const before = await round(device, pruneTo(0.1));
  const stop = new AbortController();
  const plan = { ...PLAN, ...pruneTo(0.5), seed: 8 };
  const stopped = device.trainer.train(
    plan,
    before.update,
    () => {
      stop.abort();
      return Promise.resolve();
    },
    stop.signal,
  );
  await assert.rejects(stopped, { name: "AbortError" });
  const other = await tinyDevice(device.folder);
  await round(other, pruneTo(0.1));
  const expected = await round(other, { ...pruneTo(0.3), seed: 9 }, before.update);
  const got = await round(device, { ...pruneTo(0.3), seed: 9 }, before.update);
  assert.deepEqual(got.update, expected.update);
});

test("an adapter of a larger structure is cut to the device's own", async (t) => {
  const folder = tinyBase(t);
  const memory = volatileMemory();
  const wide = await round(await tinyDevice(folder), { steps: 8 });
  const first = await round(await tinyDevice(folder, { memory }), pruneTo(0.3), wide.update);
  const saved = must(memory.load());
  const from = async (adapter: Uint8Array): Promise<RoundOfOne> =>
    round(await tinyDevice(folder, { memory: volatileMemory(saved) }), pruneTo(0.3), adapter);
  const got = await from(wide.update);
  assert.ok(isSameStructure(got.structure, first.structure));
  // A fresh device that is sent a pruned adapter takes its structure over.
  const adopted = await round(await tinyDevice(folder), pruneTo(0), first.update);
  assert.ok(isSameStructure(adopted.structure, first.structure));
  assert.deepEqual(adopted.losses, (await from(first.update)).losses);
});

test("scores go up by original unit, none for what is gone, and 1 on average for what is left", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const { structure, scores } = await round(device, pruneTo(0.3));
  let [sum, count] = [0, 0];
  for (const kind of unitKinds) {
    const { shape, data } = must(scores.get(`scores.${kind}`));
    const units = device.shape.units[kind];
    assert.deepEqual(shape, [device.shape.units.layers, units]);
    structure.layers.forEach((layer, i) => {
      for (let id = 0; id < units; id++) {
        const score = must(data[i * units + id]);
        if (!layer[kind].includes(id)) assert.equal(score, 0);
        else [sum, count] = [sum + score, count + 1];
      }
    });
  }
  assert.ok(Math.abs(sum / count - 1) < 1e-5);
});

test("the fleet's scores decide alone at a blend of 1", async (t) => {
  const folder = tinyBase(t);
  const source = await tinyDevice(folder);
  const { modules, heads } = await round(source, {});
  const { units } = source.shape;
  const scores = new Map(
    unitKinds.map((kind) => {
      const size = units.layers * units[kind];
      // Descending, so that the last units of the last layer are worth least.
      const data = Float32Array.from({ length: size }, (_, i) => 1 + size - i);
      return [`scores.${kind}`, { shape: [units.layers, units[kind]], data }];
    }),
  );
  const adapter = encodeAdapterFile({ modules, heads, scores });
  const device = await tinyDevice(folder);
  const { structure } = await round(device, pruneTo(0.1, { blend: 1 }), adapter);
  const [first, last] = structure.layers;
  assert.equal(must(first).ffn.length, units.ffn);
  assert.deepEqual(
    must(last).ffn,
    Array.from({ length: must(last).ffn.length }, (_, id) => id),
  );
  assert.ok(must(last).ffn.length < units.ffn);
});

test("with pruning that can be undone every round chooses from the whole model", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const reversible = { isReversible: true, score: "magnitude" } as const;
  const { modules, heads } = await round(device, {});
  const adapter = encodeAdapterFile({ modules, heads });
  const much = await round(device, pruneTo(0.5, reversible), adapter);
  const little = await round(device, pruneTo(0.1, reversible), adapter);
  assert.ok(Math.abs(much.report.sparsity - 0.5) <= halfChannel(device) + 1e-12);
  assert.ok(Math.abs(little.report.sparsity - 0.1) <= halfChannel(device) + 1e-12);
  const fresh = await round(await tinyDevice(device.folder), pruneTo(0.1, reversible), adapter);
  assert.ok(isSameStructure(fresh.structure, little.structure));
});

test("examples that are held out are not trained on, and the same ones in every round", async (t) => {
  const folder = tinyBase(t);
  const all = examples(60, "held out");
  const device = await tinyDevice(folder, { examples: all });
  const { report } = await round(device, pruneTo(0));
  assert.equal(report.numSamples, 54);
  assert.ok(must(report.heldOutLoss) > 0);
  const few = await tinyDevice(folder, { examples: all.slice(0, 12) });
  const small = (await round(few, pruneTo(0))).report;
  assert.deepEqual([small.numSamples, small.heldOutLoss], [12, null]);
});

test("the guard puts pruning off once when the held-out loss has risen since the last", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const guarded = (sparsity: number) => pruneTo(sparsity, { guard: 0.05 });
  const good = await round(device, { ...guarded(0.1), steps: 30 });
  assert.equal(good.report.pruningSkipped, false);
  // A head that is sure of the wrong class.
  const spoilt = new Map(good.heads);
  const bias = must(spoilt.get("classifier.bias"));
  spoilt.set("classifier.bias", { ...bias, data: Float32Array.of(40, 0, 0) });
  const bad = ({ modules, structure }: RoundOfOne): Uint8Array => {
    const structureText = encodeStructure(structure, device.shape.units);
    return encodeAdapterFile({ modules, heads: spoilt, structureText });
  };
  const second = await round(device, guarded(0.3), bad(good));
  assert.ok(must(second.report.heldOutLoss) > 1.05 * must(good.report.heldOutLoss));
  assert.equal(second.report.pruningSkipped, true);
  assert.ok(isSameStructure(second.structure, good.structure));
  const third = await round(device, guarded(0.3), bad(second));
  assert.equal(third.report.pruningSkipped, false);
  assert.ok(Math.abs(third.report.sparsity - 0.3) <= halfChannel(device) + 1e-12);
  // Nothing was due: nothing is put off.
  const idle = await round(device, guarded(0.3), bad(third));
  assert.equal(idle.report.pruningSkipped, false);
});

test("a damaged or foreign adapter is refused, and the next one is trained on", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const { update, modules, heads } = await round(device, {});
  const [first] = modules;
  const misshapen = [{ ...must(first), a: { shape: [2, 1], data: new Float32Array(2) } }];
  const refused: [Uint8Array, typeof CheckpointError | typeof ConfigError][] = [
    [update.subarray(0, 200), CheckpointError],
    [
      encodeAdapterFile({ modules: modules.map((m) => ({ ...m, scale: 5 })), heads }),
      CheckpointError,
    ],
    [encodeAdapterFile({ modules: misshapen, heads }), CheckpointError],
    [encodeAdapterFile({ modules: [], heads }), CheckpointError],
    [encodeAdapterFile({ modules, heads, structureText: "ff" }), ConfigError],
  ];
  for (const [bytes, kind] of refused) await assert.rejects(round(device, {}, bytes), kind);
  const [got, expected] = [device, await tinyDevice(device.folder)];
  assert.deepEqual(
    (await round(got, {}, update)).update,
    (await round(expected, {}, update)).update,
  );
});
