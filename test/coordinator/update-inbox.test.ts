/** The inbox: what it holds, what it refuses, and which blobs it leaves alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AdapterState } from "../../src/base/adapter.ts";
import { hostArray } from "../../src/base/arrays.ts";
import { ManualClock } from "../../src/base/clock.ts";
import { TransportError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { fullStructure } from "../../src/base/structure.ts";
import { encodeAdapterFile } from "../../src/io/adapter-file.ts";
import { UpdateInbox } from "../../src/coordinator/update-inbox.ts";
import { UpdateLayout } from "../../src/coordinator/update-layout.ts";
import type { Defect } from "../../src/strategies/aggregation/update-check.ts";
import type { DataPlane, PullOptions } from "../../src/transfer/data-plane.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { HEAD, randomAdapter } from "../support/adapters.ts";
import { must } from "../support/must.ts";
import { TOY_HEADS, TOY_SHAPE } from "../support/toy-shape.ts";

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
    askAgain: () => undefined,
    stats: () => ({ servedBytes: 0, dropped: {} }),
    close: () => Promise.resolve(),
  };
}

const WHOLE = {
  rank: RANK,
  mayLowerRank: false,
  within: fullStructure(TOY_SHAPE.units),
  mayPrune: false,
};

function setUp(
  kept: readonly string[] = [],
  pull?: (options: PullOptions) => Promise<void>,
  defectIn: (update: AdapterState) => Defect | null = () => null,
) {
  const [store, far] = [new MemoryBlobStore(), new MemoryBlobStore()];
  const inbox = new UpdateInbox({
    plane: planeTo(store, far, pull),
    store,
    clock: new ManualClock(),
    maxBytes: 10_000,
    layout: new UpdateLayout({
      shape: TOY_SHAPE,
      targets: "all-linear",
      heads: TOY_HEADS,
      scale: SCALE,
    }),
    screen: { appraise: () => ({ norm: { products: 1, heads: 1 }, isFresh: true }) },
    defectIn,
    isKept: (root) => kept.includes(root),
  });
  const offer = async (device: string, state: AdapterState) => {
    const blob = await far.put(encodeAdapterFile(state));
    return inbox.fetch({ device, round: 1, blob, numSamples: 5, expected: WHOLE });
  };
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

test("an update of other layers, heads or another rank is refused, the first one of a run too", async () => {
  const { modules, heads } = adapter("a");
  const [first, ...rest] = modules;
  const renamed = { modules: [{ ...must(first), name: "elsewhere" }, ...rest], heads };
  const refused: [string, AdapterState][] = [
    ["another layer", renamed],
    ["a layer less", { modules: rest, heads }],
    ["no layer", { modules: [], heads }],
    ["no head", { modules, heads: new Map() }],
    ["another head", { modules, heads: new Map([[HEAD.name, hostArray([3, 4])]]) }],
    ["another rank", randomAdapter(Rng.fromSeed("r"), RANK + 1)],
    ["a rank less", randomAdapter(Rng.fromSeed("r"), RANK - 1)],
  ];
  for (const [what, state] of refused) {
    const verdict = await setUp().offer("a", state);
    assert.deepEqual(verdict.kind === "refused" && verdict.reason, "wrong-shape", what);
  }
});

test("what the aggregator cannot merge is refused before it can end the round", async () => {
  const setting = setUp([], undefined, () => ({ reason: "wrong-shape", text: "another A" }));
  const verdict = await setting.offer("a", adapter("a"));
  assert.deepEqual(verdict, { kind: "refused", reason: "wrong-shape", detail: "another A" });
  assert.deepEqual(setting.inbox.updatesOf(["a"]), []);
});

test("a transfer that fails or is abandoned leaves nothing behind, not even when its blob arrives after all", async () => {
  const broken = setUp([], () => Promise.reject(new TransportError("link down")));
  assert.equal((await broken.offer("a", adapter("a"))).kind, "broken");
  const late = setUp([], async ({ device }) => late.inbox.abandon(device));
  assert.equal((await late.offer("a", adapter("a"))).kind, "broken");
  assert.deepEqual(late.inbox.updatesOf(["a"]), []);
});
