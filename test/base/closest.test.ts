/** The nearest word: typing mistakes are found, strangers are not. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { closest } from "../../src/base/closest.ts";

const WORDS = ["rounds", "roundTimeoutMs", "minDevices", "quorum"];

test("one or two wrong letters find the word that was meant", () => {
  assert.equal(closest("round", WORDS), "rounds");
  assert.equal(closest("quorom", WORDS), "quorum");
  assert.equal(closest("mindevice", WORDS), "minDevices");
  assert.equal(closest("roundTimeOut", WORDS), "roundTimeoutMs");
});

test("a word unlike all others finds none", () => {
  assert.equal(closest("colour", WORDS), undefined);
  assert.equal(closest("x", []), undefined);
});
