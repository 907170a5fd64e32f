/** The bytes that a weight takes in each number format. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, scalesOffset } from "../../src/base/base-dtype.ts";

test("A weight takes its values and the scales of its format.", () => {
  assert.equal(bytesOf("f32", 3, 40), 480);
  assert.equal(bytesOf("f16", 3, 40), 240);
  assert.equal(bytesOf("int8", 3, 40), 120 + 3 * 4);
  // Forty columns make two groups of 32: 16 bytes of values and a 2-byte scale each.
  assert.equal(bytesOf("int4", 3, 40), 3 * 2 * (16 + 2));
});

test("int8 scales begin at a multiple of four bytes whatever the shape.", () => {
  assert.equal(scalesOffset("int8", 3, 7), 24);
  assert.equal(bytesOf("int8", 3, 7), 24 + 12);
});
