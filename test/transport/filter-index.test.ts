/** The index of subscriptions: who gets a message, and in which order. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { FilterIndex } from "../../src/transport/filter-index.ts";

interface Owner {
  readonly order: number;
}

test("exact and wildcard filters find their owners, each once and in order", () => {
  const index = new FilterIndex<Owner>();
  const [first, second, third] = [{ order: 1 }, { order: 2 }, { order: 3 }];
  index.add("fl/+/evt", third);
  index.add("fl/a/evt", second);
  index.add("fl/a/evt", first);
  index.add("fl/#", second);
  assert.deepEqual(index.matching("fl/a/evt"), [first, second, third]);
  assert.deepEqual(index.matching("fl/b/cmd"), [second]);
  assert.deepEqual(index.matching("other"), []);
});

test("a removed filter is gone for its owner alone", () => {
  const index = new FilterIndex<Owner>();
  const [first, second] = [{ order: 1 }, { order: 2 }];
  for (const owner of [first, second]) {
    index.add("fl/a/cmd", owner);
    index.add("fl/+/cmd", owner);
  }
  index.remove("fl/a/cmd", first);
  assert.deepEqual(index.matching("fl/a/cmd"), [first, second]);
  index.remove("fl/+/cmd", first);
  assert.deepEqual(index.matching("fl/a/cmd"), [second]);
  index.clear();
  assert.deepEqual(index.matching("fl/a/cmd"), []);
});
