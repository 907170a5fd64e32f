/** The downlink: what devices start from, shared where it is the same, and gone when nobody can want it. */
import assert from "node:assert/strict";
import { test } from "node:test";
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

test("before there is a global adapter there is nothing to start from", async () => {
  const downlink = new Downlink(new MemoryBlobStore(), TOY_SHAPE, null);
  assert.equal(await downlink.blobFor(cut()), null);
});

test("a device gets the first directions of its rank, sliced to its structure, with the mean scores", async () => {
  const store = new MemoryBlobStore();
  const whole = adapter("x");
  const downlink = new Downlink(store, TOY_SHAPE, whole);
  const scores = new Map([["scores.heads", hostArray([1, 3], Float32Array.of(1, 2, 3))]]);
  const blob = must(await downlink.blobFor(cut({ rank: 2, structure: PRUNED, scores })));
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
  const downlink = new Downlink(store, TOY_SHAPE, adapter("x"));
  const cuts = [cut(), cut(), cut({ rank: null }), cut({ rank: 2 }), cut({ structure: PRUNED })];
  const roots = await Promise.all(
    cuts.map(async (each) => must(await downlink.blobFor(each)).root),
  );
  assert.equal(roots[0], roots[1]);
  assert.equal(roots[0], roots[2], "the same bytes are the same blob");
  assert.equal(new Set(roots).size, 3);
  assert.deepEqual(new Set(await store.list()), new Set(roots));
});

test("blobs of an adapter are served until the one after the next, unless they are still wanted", async () => {
  const store = new MemoryBlobStore();
  const downlink = new Downlink(store, TOY_SHAPE, null);
  const next = async (seed: string): Promise<string> => {
    await downlink.replace(adapter(seed));
    return must(await downlink.blobFor(cut())).root;
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
