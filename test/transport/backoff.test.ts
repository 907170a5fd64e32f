/** Back-off: within its ceiling, doubling, spread over the fleet. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { Backoff } from "../../src/transport/backoff.ts";

test("waits stay below a ceiling that doubles up to the maximum and starts over after a reset", () => {
  const backoff = new Backoff({ firstMs: 1000, maxMs: 60_000 }, Rng.fromSeed("fleet"));
  for (const ceilingMs of [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]) {
    const waitMs = backoff.nextMs();
    assert.ok(waitMs > 0 && waitMs <= ceilingMs, `${waitMs} above ${ceilingMs}`);
  }
  backoff.reset();
  assert.ok(backoff.nextMs() <= 1000);
});

test("a fleet that loses its broker at once comes back spread over the whole ceiling", () => {
  const waits = Array.from({ length: 400 }, (_, device) => {
    return new Backoff({ firstMs: 1000, maxMs: 60_000 }, Rng.fromSeed(device)).nextMs();
  });
  for (let quarter = 0; quarter < 4; quarter++) {
    const count = waits.filter((ms) => ms > quarter * 250 && ms <= (quarter + 1) * 250).length;
    assert.ok(count > 60, `${count} of 400 in quarter ${quarter}`);
  }
});
