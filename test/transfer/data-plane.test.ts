/** Transfers over the in-process broker: every fault, both directions, resumption, refusal. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { TransportError } from "../../src/base/errors.ts";
import { LEAF_BYTES, manifestBytesOf } from "../../src/protocol/manifest.ts";
import type { BlobRef } from "../../src/transfer/blob-store.ts";
import type { PullProgress } from "../../src/transfer/data-plane.ts";
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { Link } from "../../src/transport/link.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { noise, settle, settleInRealTime, transferPair } from "../support/transfer.ts";

const anySize = { device: "gw", maxBytes: 2 ** 30 };

/** Asserts that pulling rejects with a TransportError whose text matches. */
async function assertRefused(pulling: Promise<unknown>, text: RegExp): Promise<void> {
  await assert.rejects(pulling, (error) => {
    assert.ok(error instanceof TransportError);
    assert.match(error.message, text);
    return true;
  });
}

test("a blob arrives whole in both directions whatever the network does to its frames", async () => {
  const rate = fc.double({ min: 0, max: 0.25, noNaN: true });
  const faults = fc.record({
    lossRate: rate,
    duplicateRate: rate,
    reorderRate: rate,
    reorderMs: fc.constant(70),
    corruptRate: fc.double({ min: 0, max: 0.08, noNaN: true }),
    latencyMs: fc.constantFrom(0, 15, 200),
  });
  const size = fc.oneof(
    fc.constantFrom(0, 1, LEAF_BYTES - 1, LEAF_BYTES, LEAF_BYTES + 1),
    fc.nat(400_000),
  );
  await fc.assert(
    fc.asyncProperty(size, faults, fc.nat(1000), fc.boolean(), async (bytes, f, seed, up) => {
      const pair = await transferPair({ seed, faults: f, idleTimeoutMs: 3_600_000 });
      const content = noise(bytes, seed);
      const [from, to] = up
        ? [pair.deviceStore, pair.coordinatorStore]
        : [pair.coordinatorStore, pair.deviceStore];
      const blob = await from.put(content);
      const puller = up ? pair.coordinator : pair.device;
      await settle(pair.clock, puller.pull({ ...anySize, blob }));
      assert.ok(Buffer.from(await to.readAll(blob.root)).equals(content));
    }),
    { numRuns: 40 },
  );
});

test("without faults nothing is received twice and the manifest costs 32 bytes per leaf", async () => {
  const pair = await transferPair({ faults: { latencyMs: 10 } });
  const blob = await pair.coordinatorStore.put(noise(1_000_000));
  const report = await settle(pair.clock, pair.device.pull({ ...anySize, blob }));
  assert.deepEqual(report, {
    receivedBytes: 1_000_000 + manifestBytesOf(1_000_000),
    resumedBytes: 0,
    wastedBytes: 0,
  });
});

test("a blob that is already here is not sent again", async () => {
  const pair = await transferPair();
  const blob = await pair.coordinatorStore.put(noise(200_000));
  await settle(pair.clock, pair.device.pull({ ...anySize, blob }));
  const { servedBytes } = pair.coordinator.stats();
  const report = await settle(pair.clock, pair.device.pull({ ...anySize, blob }));
  assert.deepEqual(report, { receivedBytes: 0, resumedBytes: 200_000, wastedBytes: 0 });
  assert.equal(pair.coordinator.stats().servedBytes, servedBytes);
});

test("a pull that is aborted half-way goes on after a restart with what is missing", async (t) => {
  const folder = temporaryFolder(t);
  const content = noise(40 * LEAF_BYTES + 77);
  const first = await transferPair({
    deviceStore: await DiskBlobStore.at(folder),
    faults: { latencyMs: 20 },
  });
  const blob = await first.coordinatorStore.put(content);
  const stop = new AbortController();
  const onProgress = ({ haveBytes }: PullProgress): void => {
    if (haveBytes >= 20 * LEAF_BYTES) stop.abort();
  };
  const pulling = first.device.pull({ ...anySize, blob, signal: stop.signal, onProgress });
  await assertRefused(settleInRealTime(first.clock, pulling), /aborted/);

  const store = await DiskBlobStore.at(folder);
  assert.equal(await store.has(blob.root), false);
  const second = await transferPair({ deviceStore: store, faults: { latencyMs: 20 } });
  await second.coordinatorStore.put(content);
  const seen: number[] = [];
  const report = await settleInRealTime(
    second.clock,
    second.device.pull({ ...anySize, blob, onProgress: ({ haveBytes }) => seen.push(haveBytes) }),
  );
  assert.ok(report.resumedBytes >= 20 * LEAF_BYTES);
  assert.equal(report.receivedBytes, content.byteLength - report.resumedBytes);
  assert.equal(report.wastedBytes, 0);
  assert.ok((seen[0] ?? 0) > report.resumedBytes);
  assert.equal(seen.at(-1), content.byteLength);
  assert.ok(Buffer.from(await store.readAll(blob.root)).equals(content));
});

test("leaves that were damaged on disk between two attempts are fetched again", async (t) => {
  const folder = temporaryFolder(t);
  const content = noise(6 * LEAF_BYTES);
  const store = await DiskBlobStore.at(folder);
  const pair = await transferPair({ deviceStore: store });
  const blob = await pair.coordinatorStore.put(content);
  const manifest = await pair.coordinatorStore.manifest(blob.root);
  assert.ok(manifest);
  const partial = await store.open(manifest);
  for (const i of [0, 1, 2, 3]) {
    await partial.writeLeaf(i, content.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES));
  }
  await partial.close();
  const path = join(folder, `${blob.root}.part`);
  const damaged = await readFile(path);
  damaged[2 * LEAF_BYTES + 5] = (damaged[2 * LEAF_BYTES + 5] ?? 0) ^ 1;
  await writeFile(path, damaged);
  const report = await settleInRealTime(pair.clock, pair.device.pull({ ...anySize, blob }));
  assert.deepEqual(report, {
    receivedBytes: 3 * LEAF_BYTES,
    resumedBytes: 3 * LEAF_BYTES,
    wastedBytes: 0,
  });
  assert.ok(Buffer.from(await store.readAll(blob.root)).equals(content));
});

test("a cut connection costs what was under way and no more", async () => {
  const pair = await transferPair({ faults: { latencyMs: 10 } });
  const blob = await pair.coordinatorStore.put(noise(64 * LEAF_BYTES));
  let cuts = 0;
  const onProgress = ({ haveBytes }: PullProgress): void => {
    if (haveBytes > (cuts + 1) * 16 * LEAF_BYTES) {
      cuts += 1;
      pair.broker.cut("gw.data");
    }
  };
  const report = await settle(pair.clock, pair.device.pull({ ...anySize, blob, onProgress }));
  assert.equal(cuts, 3);
  assert.ok(report.wastedBytes <= 2 * LEAF_BYTES, `${report.wastedBytes} bytes twice`);
});

test("two pulls of one blob at once transfer it once", async () => {
  const pair = await transferPair();
  const blob = await pair.coordinatorStore.put(noise(300_000));
  const [a, b] = await settle(
    pair.clock,
    Promise.all([pair.device.pull({ ...anySize, blob }), pair.device.pull({ ...anySize, blob })]),
  );
  assert.equal(a.resumedBytes, 0);
  assert.deepEqual(b, { receivedBytes: 0, resumedBytes: 300_000, wastedBytes: 0 });
});

test("a blob that is unknown, not allowed, too large or of another size is refused", async () => {
  const secrets = new Set<string>();
  const pair = await transferPair({ mayRead: (_, root) => !secrets.has(root) });
  const blob = await pair.coordinatorStore.put(noise(70_000));
  const pull = (ref: Partial<BlobRef>, maxBytes = 1_000_000): Promise<unknown> =>
    settle(pair.clock, pair.device.pull({ device: "gw", blob: { ...blob, ...ref }, maxBytes }));
  await assertRefused(pull({ root: "0".repeat(64) }), /unknown/);
  await assertRefused(pull({ root: "../../etc/passwd" }), /a root/);
  await assertRefused(pull({}, 69_999), /at most 69999/);
  await assertRefused(pull({ sizeBytes: 70_001 }), /announced size/);
  await assertRefused(pull({ sizeBytes: 700_001 }), /out-of-range/);
  secrets.add(blob.root);
  await assertRefused(pull({}), /unknown/);
  secrets.clear();
  await pull({});
});

test("a peer that is silent, or sends nothing but damage, is given up", async () => {
  const silent = await transferPair({ faults: { lossRate: 1 }, idleTimeoutMs: 30_000 });
  const blob = await silent.coordinatorStore.put(noise(1000));
  const startMs = silent.clock.nowMs();
  await assertRefused(
    settle(silent.clock, silent.device.pull({ ...anySize, blob })),
    /nothing of use for 30000 ms/,
  );
  assert.ok(silent.clock.nowMs() - startMs < 31_000);

  const liar = await transferPair();
  await liar.coordinatorStore.put(noise(1000));
  const read = liar.coordinatorStore.read.bind(liar.coordinatorStore);
  liar.coordinatorStore.read = async (...where) => (await read(...where))?.fill(7);
  await assertRefused(settle(liar.clock, liar.device.pull({ ...anySize, blob })), /damaged/);
});

test("closing a data plane rejects its pulls, and an abort before the start is heeded", async () => {
  const pair = await transferPair();
  const blob = await pair.coordinatorStore.put(noise(1_000_000));
  const running = pair.device.pull({ ...anySize, blob });
  const waiting = pair.device.pull({
    ...anySize,
    blob: { root: "1".repeat(64), sizeBytes: 5 },
  });
  const outcomes = Promise.allSettled([running, waiting]);
  pair.clock.advance(1);
  await pair.device.close();
  for (const outcome of await settle(pair.clock, outcomes)) {
    assert.equal(outcome.status, "rejected");
    assert.match((outcome.reason as Error).message, /closed/);
  }
  const other = await transferPair();
  const signal = AbortSignal.abort();
  const early = other.device.pull({ ...anySize, blob, signal });
  await assertRefused(settle(other.clock, early), /aborted/);
});

test("frames that nobody asked for are counted and harmless", async () => {
  const pair = await transferPair();
  const hostile = await pair.broker.connect({ clientId: "x", clean: true, keepaliveSeconds: 30 });
  const quiet = { qos: 0, retain: false } as const;
  await hostile.publish("fl/1/test/d/gw/blk", noise(300), quiet);
  await hostile.publish("fl/1/test/d/gw/put", new Uint8Array(3), quiet);
  await hostile.publish("fl/1/test/d/gw/get", new Uint8Array(200_000), quiet);
  pair.clock.advance(1);
  assert.equal(pair.device.stats().dropped["bad-magic"], 1);
  assert.deepEqual(
    [pair.coordinator.stats().dropped["too-short"], pair.coordinator.stats().dropped["too-large"]],
    [1, 1],
  );
  const blob = await pair.coordinatorStore.put(noise(100_000));
  await settle(pair.clock, pair.device.pull({ ...anySize, blob }));
});

test("from 2 KB/s to 2 MB/s the link is nearly full and its queue stays short", async () => {
  for (const [bytesPerSecond, sizeBytes, leastShare] of [
    [2_000, 100_000, 0.9],
    [50_000, 1_000_000, 0.9],
    [2_000_000, 10_000_000, 0.75],
  ] as const) {
    let near: TransportFactory | undefined;
    const pair = await transferPair({
      shape(clock, factory) {
        const up = { upBytesPerSecond: 10_000, latencyMs: 40 };
        near = new Link({ clock, downBytesPerSecond: bytesPerSecond, ...up }).wrap(factory);
        return near;
      },
    });
    const { clock } = pair;
    const control = await near?.connect({ clientId: "gw", clean: true, keepaliveSeconds: 30 });
    let longestMs = 0;
    let probedAtMs = 0;
    const probe = (): void => {
      probedAtMs = clock.nowMs();
      void control?.publish("probe", new Uint8Array(1), { qos: 0, retain: false });
    };
    await control?.subscribe("probe", () => {
      longestMs = Math.max(longestMs, clock.nowMs() - probedAtMs);
      clock.after(100, probe);
    });
    probe();
    const blob = await pair.coordinatorStore.put(noise(sizeBytes));
    const startMs = clock.nowMs();
    await settle(clock, pair.device.pull({ ...anySize, blob }), 5);
    const share = sizeBytes / bytesPerSecond / ((clock.nowMs() - startMs) / 1000);
    assert.ok(share > leastShare, `${bytesPerSecond} B/s: ${(100 * share).toFixed(0)} % full`);
    const oneRangeMs = (1000 * 16_500) / bytesPerSecond;
    const boundMs = Math.max(2000, 1.1 * oneRangeMs);
    assert.ok(
      longestMs > 0 && longestMs < boundMs,
      `${bytesPerSecond} B/s: ${longestMs} ms behind`,
    );
  }
});
