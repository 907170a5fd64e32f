/** The server alone: bounded queues and equal turns. */
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import { decodeFrame } from "../../src/protocol/frame.ts";
import { BlobServer } from "../../src/transfer/blob-server.ts";
import { MemoryBlobStore } from "../../src/transfer/memory-blob-store.ts";
import { noise } from "../support/transfer.ts";

/** A server whose answers go out one by one when `release` is called. */
async function blockedServer() {
  const store = new MemoryBlobStore();
  const { root } = await store.put(noise(100_000));
  const sent: { peer: string; requestId: number }[] = [];
  const gates: (() => void)[] = [];
  const server = new BlobServer({
    store,
    mayRead: () => true,
    reply(peer, frame) {
      const decoded = decodeFrame(frame);
      assert.ok(decoded.ok && decoded.value.type === "range");
      sent.push({ peer, requestId: decoded.value.requestId });
      return new Promise((resolve) => gates.push(resolve));
    },
  });
  const ask = (peer: string, requestId: number): void => {
    server.onRequest(peer, {
      type: "request",
      requestId,
      root,
      part: "content",
      offsetBytes: requestId,
      lengthBytes: 100,
    });
  };
  const release = async (): Promise<void> => {
    await turn();
    gates.shift()?.();
    await turn();
  };
  return { server, sent, ask, release };
}

test("a peer that floods holds a bounded queue and one answer at a time", async () => {
  const { server, sent, ask, release } = await blockedServer();
  for (let i = 0; i < 1000; i++) ask("flood", i);
  await turn();
  assert.equal(sent.length, 1);
  assert.equal(server.stats.dropped, 1000 - 1 - 64);
  for (let i = 0; i < 100; i++) await release();
  assert.equal(sent.length, 65);
  assert.equal(server.stats.servedBytes, 6500);
});

test("a request that is repeated while it waits is answered once", async () => {
  const { sent, ask, release } = await blockedServer();
  for (let i = 0; i < 3; i++) {
    ask("a", 1);
    ask("a", 2);
  }
  for (let i = 0; i < 10; i++) await release();
  assert.deepEqual(
    sent.map(({ requestId }) => requestId),
    [1, 2, 1],
  );
});

test("a small request does not wait behind another peer's queue", async () => {
  const { sent, ask } = await blockedServer();
  for (let i = 0; i < 60; i++) ask("greedy", i);
  ask("modest", 7);
  await turn();
  assert.deepEqual(sent, [
    { peer: "greedy", requestId: 0 },
    { peer: "modest", requestId: 7 },
  ]);
});
