/** The inbox and the global model: what they hold, what they refuse, and which blobs they leave alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { ManualClock } from "../../src/base/clock.ts";
import { TransportError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { encodeAdapterFile } from "../../src/io/adapter-file.ts";
import { GlobalModel } from "../../src/coordinator/global-model.ts";
import { RunFolder } from "../../src/coordinator/run-folder.ts";
import { UpdateInbox } from "../../src/coordinator/update-inbox.ts";
import { fedAvg } from "../../src/strategies/aggregation/fed-avg.ts";
import type { BlobRef } from "../../src/transfer/blob-store.ts";
import type { DataPlane, PullOptions } from "../../src/transfer/data-plane.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { randomAdapter } from "../support/adapters.ts";
import { must } from "../support/must.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const RANK = 3;
const SCALE = 2;
const adapter = (seed: string): AdapterState => randomAdapter(Rng.fromSeed(seed), RANK, SCALE);

/** A plane that has what it is asked for at once, or does as `pull` says. */
function planeTo(
  store: MemoryBlobStore,
  far: MemoryBlobStore,
  pull?: (options: PullOptions) => Promise<void>,
): DataPlane {
  return {
    async pull(options) {
      await pull?.(options);
      await store.put(await far.readAll(options.blob.root));
      return { receivedBytes: options.blob.sizeBytes, resumedBytes: 0, wastedBytes: 0 };
    },
    stats: () => ({ servedBytes: 0, dropped: {} }),
    close: () => Promise.resolve(),
  };
}

function setUp(kept: readonly string[] = [], pull?: (options: PullOptions) => Promise<void>) {
  const [store, far] = [new MemoryBlobStore(), new MemoryBlobStore()];
  const inbox = new UpdateInbox({
    plane: planeTo(store, far, pull),
    store,
    clock: new ManualClock(),
    maxBytes: 10_000,
    rank: RANK,
    scale: SCALE,
    isKept: (root) => kept.includes(root),
  });
  const offer = async (device: string, state: AdapterState, like: AdapterState | null = null) =>
    inbox.fetch({ device, blob: await far.put(encodeAdapterFile(state)), numSamples: 5, like });
  return { store, far, inbox, offer };
}

test("a sound update is held for its device until the round is cleared, and so is its blob", async () => {
  const { inbox, offer, store } = setUp();
  assert.equal((await offer("a", adapter("a"))).kind, "received");
  assert.equal((await offer("b", adapter("b"))).kind, "received");
  assert.deepEqual(
    inbox.updatesOf(["b", "x"]).map(({ deviceId, numSamples }) => [deviceId, numSamples]),
    [["b", 5]],
  );
  await inbox.clear();
  assert.deepEqual([inbox.updatesOf(["a", "b"]), await store.list()], [[], []]);
});

test("a blob that the fleet needs stays, whoever offers it as an update", async () => {
  const shared = adapter("shared");
  const { root } = await new MemoryBlobStore().put(encodeAdapterFile(shared));
  const { inbox, offer, store } = setUp([root]);
  await offer("a", shared);
  await offer("b", adapter("b"));
  await inbox.clear();
  assert.deepEqual(await store.list(), [root]);
});

test("the first update of a new run shows the layout; later runs know it from their adapter", async () => {
  const { offer } = setUp();
  const [first, ...rest] = adapter("a").modules;
  const other = {
    modules: [{ ...must(first), name: "elsewhere" }, ...rest],
    heads: adapter("a").heads,
  };
  assert.equal((await offer("a", adapter("a"))).kind, "received");
  const verdict = await offer("b", other);
  assert.deepEqual(verdict.kind === "refused" && verdict.reason, "wrong-shape");
  const alone = await setUp().offer("b", other, adapter("like"));
  assert.deepEqual(alone.kind === "refused" && alone.reason, "wrong-shape");
});

test("another rank and an update without adapted layers are refused", async () => {
  for (const state of [
    randomAdapter(Rng.fromSeed("r"), RANK + 1),
    { modules: [], heads: adapter("h").heads },
  ]) {
    const verdict = await setUp().offer("a", state);
    assert.deepEqual(verdict.kind === "refused" && verdict.reason, "wrong-shape");
  }
});

test("a transfer that fails or is abandoned leaves nothing behind, not even when its blob arrives after all", async () => {
  const broken = setUp([], () => Promise.reject(new TransportError("link down")));
  assert.equal((await broken.offer("a", adapter("a"))).kind, "broken");
  const late = setUp([], async ({ device }) => late.inbox.abandon(device));
  assert.equal((await late.offer("a", adapter("a"))).kind, "broken");
  assert.deepEqual(late.inbox.updatesOf(["a"]), []);
});

test("merging to the very same adapter keeps its blob, other adapters make way after one round", async (t) => {
  const store = new MemoryBlobStore();
  const model = new GlobalModel({
    clock: new ManualClock(),
    store,
    folder: new RunFolder(temporaryFolder(t)),
    aggregator: fedAvg,
    rank: RANK,
    alpha: RANK * SCALE,
    base: {},
    checkpoint: undefined,
    evaluate: null,
    tell: () => undefined,
  });
  const merge = async (round: number, seed: string): Promise<BlobRef> => {
    await model.merge(round, [{ ...adapter(seed), deviceId: "a", numSamples: 1 }]);
    return must(model.blob);
  };
  const [first, second] = [await merge(1, "x"), await merge(2, "x")];
  assert.equal(first.root, second.root);
  await merge(3, "x");
  assert.ok(await store.has(first.root));
  const fourth = await merge(4, "y");
  const fifth = await merge(5, "z");
  assert.deepEqual(new Set(await store.list()), new Set([fourth.root, fifth.root]));
  assert.deepEqual([model.serves(first.root), model.serves(fourth.root)], [false, true]);
});
