/** The downlink: what devices start from, shared where it is the same, and gone when nobody can want it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { type NamedArrays, hostArray } from "../../src/base/arrays.ts";
import { Rng } from "../../src/base/rng.ts";
import { type Structure, encodeStructure, fullStructure } from "../../src/base/structure.ts";
import { type Cut, Downlink } from "../../src/coordinator/downlink.ts";
import { decodeAdapterFile } from "../../src/io/adapter-file.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { moduleNamed, randomAdapter } from "../support/adapters.ts";
import { must } from "../support/must.ts";
import { TOY_SHAPE } from "../support/toy-shape.ts";

const RANK = 4;
const WHOLE = fullStructure(TOY_SHAPE.units);
const PRUNED: Structure = { layers: [{ heads: [0, 2], ffn: [1, 4, 5] }] };
const NO_SCORES: NamedArrays = new Map();
const adapter = (seed: string) => randomAdapter(Rng.fromSeed(seed), RANK);
const cut = (part: Partial<Cut> = {}): Cut => ({
  rank: RANK,
  structure: WHOLE,
  scores: NO_SCORES,
  ...part,
});
const downlinkOf = (store: MemoryBlobStore, newest?: AdapterState, depth = 1): Downlink =>
  new Downlink({ store, shape: TOY_SHAPE, adapters: new Map(newest && [[0, newest]]), depth });

test("before there is a global adapter there is nothing to start from", async () => {
  const downlink = downlinkOf(new MemoryBlobStore());
  assert.equal(await downlink.blobFor(cut(), 1), null);
});

test("a device gets the first directions of its rank, sliced to its structure, with the mean scores", async () => {
  const store = new MemoryBlobStore();
  const whole = adapter("x");
  const downlink = downlinkOf(store, whole);
  const scores = new Map([["scores.heads", hostArray([1, 3], Float32Array.of(1, 2, 3))]]);
  const blob = must(await downlink.blobFor(cut({ rank: 2, structure: PRUNED, scores }), 1));
  const file = decodeAdapterFile(await store.readAll(blob.root), "blob");
  assert.equal(file.structureText, encodeStructure(PRUNED, TOY_SHAPE.units));
  assert.deepEqual(file.scores, scores);
  assert.deepEqual(file.heads, whole.heads);
  const [query, down] = ["layers.0.query", "layers.0.down"].map((name) => moduleNamed(file, name));
  assert.deepEqual(
    [query?.a.shape, query?.b.shape],
    [
      [2, 5],
      [4, 2],
    ],
  );
  assert.deepEqual(
    [down?.a.shape, down?.b.shape],
    [
      [2, 3],
      [4, 2],
    ],
  );
  const before = moduleNamed(whole, "layers.0.query");
  assert.deepEqual(must(query).a.data, before.a.data.slice(0, 2 * 5));
  const rowOfHead2 = 4;
  assert.equal(must(query).b.data[2 * 2], before.b.data[rowOfHead2 * RANK]);
});

test("devices that need the same share a blob, and all directions go out where no rank is given", async () => {
  const store = new MemoryBlobStore();
  const downlink = downlinkOf(store, adapter("x"));
  const cuts = [cut(), cut(), cut({ rank: null }), cut({ rank: 2 }), cut({ structure: PRUNED })];
  const roots = await Promise.all(
    cuts.map(async (each) => must(await downlink.blobFor(each, 1)).root),
  );
  assert.equal(roots[0], roots[1]);
  assert.equal(roots[0], roots[2], "the same bytes are the same blob");
  assert.equal(new Set(roots).size, 3);
  assert.deepEqual(new Set(await store.list()), new Set(roots));
});

test("blobs of an adapter are served until the one after the next, unless they are still wanted", async () => {
  const store = new MemoryBlobStore();
  const downlink = downlinkOf(store);
  let round = 0;
  const next = async (seed: string): Promise<string> => {
    await downlink.replace(adapter(seed), round++);
    return must(await downlink.blobFor(cut(), round)).root;
  };
  const [first, second] = [await next("x"), await next("y")];
  assert.ok(downlink.serves(first) && downlink.serves(second));
  const third = await next("z");
  assert.deepEqual([downlink.serves(first), downlink.serves(second)], [false, true]);
  assert.deepEqual(new Set(await store.list()), new Set([second, third]));
  const [again, same] = [await next("z"), await next("z")];
  assert.deepEqual([again, same], [third, third]);
  assert.deepEqual(await store.list(), [third]);
});

test("devices that are still at work on an older adapter find it, as deep as it is kept", async () => {
  const store = new MemoryBlobStore();
  const downlink = downlinkOf(store, adapter("0"), 2);
  const rootFor = async (round: number): Promise<string> =>
    must(await downlink.blobFor(cut(), round)).root;
  const first = await rootFor(1);
  await downlink.replace(adapter("1"), 1);
  assert.equal(await rootFor(1), first);
  assert.notEqual(await rootFor(2), first);
  const origin = { rank: 2, structure: PRUNED, round: 1 };
  const start = must(downlink.startOf(origin, false));
  assert.deepEqual(
    must(start.modules[0]).a.data,
    must(adapter("0").modules[0]).a.data.slice(0, 10),
  );
  assert.deepEqual(downlink.startOf(origin, true)?.modules, []);
  await downlink.replace(adapter("2"), 2);
  assert.equal(downlink.startOf(origin, false), null);
  assert.ok(downlink.serves(first), "for one more round, since it may be on its way");
  await downlink.replace(adapter("3"), 3);
  assert.equal(downlink.serves(first), false);
  const newest = must(downlink.newest(PRUNED)?.modules[0]);
  assert.deepEqual(newest.a.data, must(adapter("3").modules[0]).a.data);
});
