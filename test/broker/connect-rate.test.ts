/** The connection rate: a burst, then the steady rate, each address on its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectRate } from "../../broker/src/connect-rate.ts";

test("an address gets its burst, then its rate", () => {
  const rate = new ConnectRate(10);
  const admitted = Array.from({ length: 60 }, () => rate.admits("a", 0)).filter(Boolean);
  assert.equal(admitted.length, 50);
  assert.equal(rate.admits("a", 50), false);
  assert.equal(rate.admits("a", 200), true);
});

test("one address does not use up another's burst", () => {
  const rate = new ConnectRate(1);
  for (let i = 0; i < 10; i++) rate.admits("a", 0);
  assert.equal(rate.admits("a", 0), false);
  assert.equal(rate.admits("b", 0), true);
});
