/** Control messages: round trips, limits, and that nothing from the network makes the decoder throw. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import {
  MAX_CONTROL_BYTES,
  decodeControl,
  encodeControl,
  newMessageId,
} from "../../src/protocol/envelope.ts";
import type { ControlMessage } from "../../src/protocol/envelope.ts";

const rng = Rng.fromSeed("envelope");
const message: ControlMessage = {
  v: 1,
  t: "hello",
  id: newMessageId(1_700_000_000_000, rng),
  dev: "gw-1",
  epoch: 3,
  round: 7,
  seq: 12,
  body: { have: ["a", "b"], load: 0.5 },
};

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

function reasonFor(payload: Uint8Array): string {
  const decoded = decodeControl(payload);
  return decoded.ok ? "ok" : decoded.reason;
}

test("a message survives the way to bytes and back", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), fc.nat(), fc.boolean(), (body, round, answers) => {
      const sent: ControlMessage = {
        ...message,
        round,
        // JSON has no negative zero.
        body: JSON.parse(JSON.stringify(body)) as unknown,
        ...(answers ? { re: message.id } : {}),
      };
      const decoded = decodeControl(encodeControl(sent));
      assert.deepEqual(decoded, { ok: true, value: sent });
    }),
  );
});

test("unknown fields are ignored and another version is named as such", () => {
  assert.equal(reasonFor(json({ ...message, exp: 5, note: "later" })), "ok");
  assert.equal(reasonFor(json({ ...message, v: 2 })), "version");
});

test("a field that is missing, of another type or out of range is refused", () => {
  const broken: Partial<Record<keyof ControlMessage, unknown>>[] = [
    { t: "" },
    { t: "Not Kebab" },
    { id: "short" },
    { re: 7 },
    { dev: "../etc" },
    { dev: "__proto__\n" },
    { epoch: -1 },
    { round: 1.5 },
    { seq: 2 ** 53 },
    { seq: "1" },
    { round: undefined },
  ];
  for (const change of broken) {
    assert.equal(reasonFor(json({ ...message, ...change })), "malformed", JSON.stringify(change));
  }
});

test("a message at the size limit passes in both directions, one byte more does not", () => {
  const room = MAX_CONTROL_BYTES - json({ ...message, body: "" }).byteLength;
  const fits = { ...message, body: "x".repeat(room) };
  assert.equal(encodeControl(fits).byteLength, MAX_CONTROL_BYTES);
  assert.equal(reasonFor(encodeControl(fits)), "ok");
  const tooLarge = { ...message, body: "x".repeat(room + 1) };
  assert.throws(() => encodeControl(tooLarge), ProtocolError);
  assert.equal(reasonFor(json(tooLarge)), "too-large");
});

test("an invalid message is refused before it is sent", () => {
  assert.throws(() => encodeControl({ ...message, dev: "a/b" }), ProtocolError);
});

test("hostile payloads are refused with a reason and never throw", () => {
  const valid = encodeControl(message);
  const mutated = fc
    .array(fc.tuple(fc.nat(valid.byteLength - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
    .map((changes) => {
      const bytes = valid.slice();
      for (const [place, value] of changes) bytes[place] = value;
      return bytes;
    });
  const nested = fc.nat(8000).map((depth) => new TextEncoder().encode("[".repeat(depth)));
  const shaped = fc
    .dictionary(
      fc.constantFrom("v", "t", "id", "dev", "epoch", "__proto__", "constructor", "body"),
      fc.anything({ withBigInt: false }),
    )
    .map((fields) => json({ ...message, ...fields }));
  const payload = fc.oneof(mutated, nested, shaped, fc.uint8Array({ maxLength: 400 }));
  fc.assert(
    fc.property(payload, (bytes) => {
      const decoded = decodeControl(bytes);
      if (!decoded.ok) assert.ok(decoded.detail.length <= 200);
      else assert.ok(encodeControl(decoded.value).byteLength <= MAX_CONTROL_BYTES);
    }),
    { numRuns: 3000 },
  );
});

test("message ids sort by time and differ within a millisecond", () => {
  const ids = [1, 2, 1_000, 1_700_000_000_000, 2 ** 47].map((ms) => newMessageId(ms, rng));
  assert.deepEqual(ids, [...ids].sort());
  assert.notEqual(newMessageId(5, rng), newMessageId(5, rng));
  assert.equal(newMessageId(0, rng).slice(0, 10), "0000000000");
  assert.equal(newMessageId(2 ** 48 - 1, rng).slice(0, 10), "7ZZZZZZZZZ");
});
