/** The base cache and the device's memory: nothing is fetched twice, the disk stays within its bound, identity lasts. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { BaseCache, type BaseFiles } from "../../src/device/base-cache.ts";
import { DeviceMemory } from "../../src/device/device-memory.ts";
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { REPORT, ROOT } from "../support/messages.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { must } from "../support/must.ts";

/** A source of blobs and a pull from it that counts. */
async function source(folder: string, maxBytes = 1000) {
  const far = await DiskBlobStore.at(join(folder, "far"));
  const near = await DiskBlobStore.at(join(folder, "near"));
  const pulled: string[] = [];
  const pull = async ({ root }: { root: string }): Promise<void> => {
    if (await near.has(root)) return;
    pulled.push(root);
    await near.put(await far.readAll(root));
  };
  const pathOf = (root: string): string => near.pathOf(root);
  const cache = new BaseCache({ folder: join(folder, "bases"), store: near, pathOf, maxBytes });
  const file = async (name: string, text: string) => ({
    name,
    ...(await far.put(Buffer.from(text))),
  });
  return { cache, pulled, pull, file, near };
}

test("a base is laid out by name, fetched once, and takes the disk once", async (t) => {
  const { cache, pulled, pull, file, near } = await source(temporaryFolder(t));
  const files: BaseFiles = [await file("config.json", "{}"), await file("model.bin", "weights")];
  const path = await cache.ensure(files, pull);
  assert.equal(readFileSync(join(path, "model.bin"), "utf8"), "weights");
  assert.equal(await cache.ensure([...files].reverse(), pull), path);
  assert.equal(pulled.length, 2);
  assert.equal(
    statSync(join(path, "model.bin")).ino,
    statSync(near.pathOf(must(files[1]).root)).ino,
  );
  assert.deepEqual(cache.roots().sort(), files.map(({ root }) => root).sort());
});

test("a transfer that breaks off leaves no base behind, and the next try goes on", async (t) => {
  const { cache, pulled, pull, file } = await source(temporaryFolder(t));
  const files: BaseFiles = [await file("a.json", "a"), await file("b.json", "b")];
  const broken = async (blob: { root: string }): Promise<void> => {
    if (blob.root === must(files[1]).root) throw new Error("link down");
    await pull(blob);
  };
  await assert.rejects(cache.ensure(files, broken), /link down/);
  assert.deepEqual(cache.roots(), []);
  await cache.ensure(files, pull);
  assert.equal(pulled.length, 2, "the first file is not fetched again");
});

test("the base that was used least recently makes way, and one that can never fit is refused", async (t) => {
  const folder = temporaryFolder(t);
  const { cache, pull, file, near } = await source(folder, 25);
  const [a, b, c] = await Promise.all(
    ["a", "b", "c"].map((letter) => file("w", letter.repeat(10))),
  );
  const first = await cache.ensure([must(a)], pull);
  const second = await cache.ensure([must(b)], pull);
  utimesSync(second, 1, 1);
  utimesSync(first, 2, 2);
  await cache.ensure([must(c)], pull);
  assert.deepEqual(new Set(cache.roots()), new Set([must(a).root, must(c).root]));
  assert.equal(await near.has(must(b).root), false);
  await assert.rejects(
    async () => cache.ensure([await file("w", "x".repeat(26))], pull),
    /too large/,
  );
  assert.equal(readdirSync(join(folder, "bases")).length, 2);
});

test("a device keeps the id that it was given or has drawn", (t) => {
  const folder = temporaryFolder(t);
  const drawn = new DeviceMemory(folder).identity(undefined, Rng.fromSeed(1));
  assert.match(drawn, /^device-[0-9a-z]{12}$/);
  assert.equal(new DeviceMemory(folder).identity(undefined, Rng.fromSeed(2)), drawn);
  assert.equal(new DeviceMemory(folder).identity("pump-7", Rng.fromSeed(2)), "pump-7");
});

test("finished work is recalled until it is forgotten; a damaged record counts as none", (t) => {
  const folder = temporaryFolder(t);
  const memory = new DeviceMemory(folder);
  assert.equal(memory.recall(), null);
  const finished = { key: "k", blob: { root: ROOT, sizeBytes: 3 }, report: REPORT };
  memory.remember(finished);
  assert.deepEqual(new DeviceMemory(folder).recall(), finished);
  writeFileSync(join(folder, "finished.json"), '{"key":');
  assert.equal(memory.recall(), null);
  memory.forget();
  assert.equal(memory.recall(), null);
});
