/** Flow control alone: how the window moves with latency and loss. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Rng } from "../../src/base/rng.ts";
import { MAX_RANGE_BYTES } from "../../src/protocol/frame.ts";
import { FlowControl, MAX_WINDOW_BYTES, MIN_RANGE_BYTES } from "../../src/transfer/flow-control.ts";

const create = (): FlowControl => new FlowControl(Rng.fromSeed(1));

test("it starts with one range of 16 KiB and ends at sixteen of 64 KiB while latency is flat", () => {
  const flow = create();
  assert.equal(flow.windowBytes, MIN_RANGE_BYTES);
  assert.equal(flow.rangeBytes, MIN_RANGE_BYTES);
  let rounds = 0;
  while (flow.windowBytes < MAX_WINDOW_BYTES) {
    const window = flow.windowBytes;
    for (let acked = 0; acked < window; acked += flow.rangeBytes) flow.onRange(flow.rangeBytes, 20);
    rounds += 1;
  }
  assert.ok(rounds <= 8, `${rounds} round trips`);
  assert.equal(flow.rangeBytes, MAX_RANGE_BYTES);
  assert.equal(flow.windowBytes, 16 * MAX_RANGE_BYTES);
});

test("raised latency holds the window, very high latency and loss halve it", () => {
  const flow = create();
  for (let i = 0; i < 30; i++) flow.onRange(MIN_RANGE_BYTES, 100);
  const window = flow.windowBytes;
  flow.onRange(MIN_RANGE_BYTES, 900);
  assert.equal(flow.windowBytes, window);
  flow.onRange(MIN_RANGE_BYTES, 5000);
  assert.equal(flow.windowBytes, window / 2);
  flow.onLoss();
  assert.equal(flow.windowBytes, window / 4);
});

test("a satellite's constant latency is no reason to stop growing", () => {
  const flow = create();
  for (let i = 0; i < 40; i++) flow.onRange(MIN_RANGE_BYTES, 650);
  assert.ok(flow.windowBytes >= 32 * MIN_RANGE_BYTES);
});

test("whatever happens the window and the range keep their limits", () => {
  const event = fc.oneof(
    fc.record({ tookMs: fc.double({ min: 0, max: 20_000, noNaN: true }) }),
    fc.constant("timeout" as const),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 200 }), (events) => {
      const flow = create();
      for (const happened of events) {
        if (happened === "timeout") flow.onLoss();
        else flow.onRange(flow.rangeBytes, happened.tookMs);
        assert.ok(flow.windowBytes >= MIN_RANGE_BYTES && flow.windowBytes <= MAX_WINDOW_BYTES);
        assert.ok(flow.rangeBytes >= MIN_RANGE_BYTES && flow.rangeBytes <= MAX_RANGE_BYTES);
        assert.ok(flow.rangeBytes <= flow.windowBytes);
      }
    }),
  );
});

test("the time to wait for an answer doubles with each repetition up to a bound", () => {
  const flow = create();
  assert.ok(flow.timeoutMs(0) >= 10_000);
  for (let i = 0; i < 30; i++) flow.onRange(MIN_RANGE_BYTES, 2000);
  for (const [attempt, leastMs] of [
    [0, 4000],
    [1, 8000],
    [2, 16_000],
    [9, 60_000],
  ] as const) {
    const timeoutMs = flow.timeoutMs(attempt);
    assert.ok(timeoutMs >= leastMs && timeoutMs <= 1.26 * leastMs, `${attempt}: ${timeoutMs}`);
  }
});

test("a link that becomes slow is waited for after a few losses", () => {
  const flow = create();
  for (let i = 0; i < 50; i++) flow.onRange(MIN_RANGE_BYTES, 50);
  assert.ok(flow.timeoutMs(0) < 3000);
  let losses = 0;
  while (flow.timeoutMs(0) < 8000) {
    flow.onLoss();
    losses += 1;
  }
  assert.ok(losses <= 3);
  flow.onRange(MIN_RANGE_BYTES, 8000);
  assert.ok(flow.timeoutMs(0) > 8000);
});

test("a small range teaches nothing", () => {
  const flow = create();
  flow.onRange(100, 1);
  assert.ok(flow.timeoutMs(0) >= 10_000);
});
