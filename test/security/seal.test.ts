/** Seals by themselves: what is bound, and what mutations do. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { newKeyPair } from "../../src/security/keys.ts";
import { ReplayWindow } from "../../src/security/replay-window.ts";
import { MAX_SEAL_BYTES, isGenuine, seal, unseal } from "../../src/security/seal.ts";
import { must } from "../support/must.ts";

const keys = newKeyPair("signing");
const header = { from: "A".repeat(16), serial: 7, to: "B".repeat(16) };
const content = new TextEncoder().encode('{"t":"state","text":"line\\nfeed"}');
const sealed = seal(content, "a/topic", header, keys.privateKey);

test("a sealed message gives back content and header, and only its own key and topic confirm it", () => {
  const opened = must(unseal(sealed));
  assert.deepEqual(Buffer.from(opened.content), Buffer.from(content));
  assert.deepEqual(opened.header, header);
  assert.ok(isGenuine(opened, "a/topic", keys.publicKey));
  assert.ok(!isGenuine(opened, "another/topic", keys.publicKey));
  assert.ok(!isGenuine(opened, "a/topic", newKeyPair("signing").publicKey));
  for (const change of [{ serial: 8 }, { from: "C".repeat(16) }, { to: null }]) {
    const forged = { ...opened, header: { ...header, ...change } };
    assert.ok(!isGenuine(forged, "a/topic", keys.publicKey), JSON.stringify(change));
  }
});

test("the seal is never longer than announced", () => {
  const longest = seal(
    content,
    "t",
    { ...header, serial: Number.MAX_SAFE_INTEGER },
    keys.privateKey,
  );
  assert.ok(longest.byteLength - content.byteLength <= MAX_SEAL_BYTES);
  assert.equal(must(unseal(longest)).header.serial, Number.MAX_SAFE_INTEGER);
});

test("no changed byte survives, and no mutated payload throws", () => {
  for (let place = 0; place < sealed.byteLength; place++) {
    const mutant = Buffer.from(sealed);
    mutant[place] = (mutant[place] ?? 0) ^ 1;
    const opened = unseal(mutant);
    const isTaken = opened !== undefined && isGenuine(opened, "a/topic", keys.publicKey);
    // The last character of base64 carries two bits of nothing: the signature is the same.
    assert.ok(!isTaken || place === sealed.byteLength - 1, `byte ${place}`);
  }
  const rng = Rng.fromSeed("seals");
  for (let i = 0; i < 5000; i++) {
    const mutant = Buffer.from(sealed.subarray(rng.int(20), sealed.byteLength - rng.int(20)));
    for (let m = 0; m < rng.int(6); m++) mutant[rng.int(mutant.byteLength)] = rng.int(256);
    unseal(mutant);
  }
  assert.equal(unseal(content), undefined);
  assert.equal(unseal(new Uint8Array(0)), undefined);
});

test("a replay window takes rising serials of one session and never an earlier session again", () => {
  const window = new ReplayWindow();
  const from = (session: string, serial: number): boolean =>
    window.admit({ from: session, serial, to: null });
  assert.deepEqual(
    [from("one", 1), from("one", 3), from("one", 3), from("one", 2)],
    [true, true, false, false],
  );
  assert.equal(window.session, "one");
  assert.deepEqual([from("two", 1), from("one", 9), from("two", 2)], [true, false, true]);
});
