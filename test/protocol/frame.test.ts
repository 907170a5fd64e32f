/** Data frames: round trips, every field's limits, and mutations by the thousand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ProtocolError } from "../../src/base/errors.ts";
import {
  FRAME_HEADER_BYTES,
  MAX_RANGE_BYTES,
  blobParts,
  decodeFrame,
  encodeFrame,
  refusalReasons,
} from "../../src/protocol/frame.ts";
import type { Frame } from "../../src/protocol/frame.ts";

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const address = {
  requestId: u32,
  root: fc.stringMatching(/^[0-9a-f]{64}$/),
  part: fc.constantFrom(...blobParts),
  offsetBytes: u32,
};
const lengthBytes = fc.integer({ min: 1, max: MAX_RANGE_BYTES });
const anyFrame: fc.Arbitrary<Frame> = fc
  .record({
    address: fc.record({ ...address, lengthBytes }),
    type: fc.constantFrom("request" as const, "range" as const, "refusal" as const),
    reason: fc.constantFrom(...refusalReasons),
    payload: fc.uint8Array({ minLength: 1, maxLength: 500 }),
  })
  .map(({ address, type, reason, payload }) => {
    if (type === "request") return { type, ...address };
    if (type === "refusal") return { type, ...address, reason };
    return { type, ...address, lengthBytes: payload.byteLength, payload };
  });

test("a frame survives the way to bytes and back", () => {
  fc.assert(
    fc.property(anyFrame, (frame) => {
      assert.deepEqual(decodeFrame(encodeFrame(frame)), { ok: true, value: frame });
    }),
  );
});

test("the largest range fits and one byte more does not", () => {
  const root = "ab".repeat(32);
  const range = (bytes: number): Frame => ({
    type: "range",
    requestId: 1,
    root,
    part: "content",
    offsetBytes: 0,
    lengthBytes: bytes,
    payload: new Uint8Array(bytes),
  });
  assert.equal(
    encodeFrame(range(MAX_RANGE_BYTES)).byteLength,
    FRAME_HEADER_BYTES + MAX_RANGE_BYTES,
  );
  assert.throws(() => encodeFrame(range(MAX_RANGE_BYTES + 1)), ProtocolError);
  assert.throws(() => encodeFrame(range(0)), ProtocolError);
  const tooLarge = decodeFrame(new Uint8Array(FRAME_HEADER_BYTES + MAX_RANGE_BYTES + 1));
  assert.equal(tooLarge.ok ? "" : tooLarge.reason, "too-large");
});

test("the payload of a range is a view of what arrived, not a copy", () => {
  const payload = Uint8Array.of(1, 2, 3);
  const root = "00".repeat(32);
  const bytes = encodeFrame({
    type: "range",
    requestId: 1,
    root,
    part: "content",
    offsetBytes: 0,
    lengthBytes: 3,
    payload,
  });
  const decoded = decodeFrame(bytes);
  assert.ok(decoded.ok && decoded.value.type === "range");
  assert.equal(decoded.value.payload.buffer, bytes.buffer);
});

test("mutated frames never throw, and what is accepted is a frame that encodes to the same bytes", () => {
  const change = fc.tuple(fc.nat(600), fc.nat(255));
  const mutated = fc
    .tuple(anyFrame, fc.array(change, { maxLength: 5 }), fc.nat(700))
    .map(([frame, changes, cut]) => {
      const bytes = encodeFrame(frame);
      for (const [place, value] of changes) bytes[place % bytes.byteLength] = value;
      return cut < bytes.byteLength ? bytes.slice(0, cut) : bytes;
    });
  const noise = fc.uint8Array({ maxLength: 200 });
  fc.assert(
    fc.property(fc.oneof(mutated, noise), (bytes) => {
      const decoded = decodeFrame(bytes);
      if (decoded.ok) assert.deepEqual(encodeFrame(decoded.value), bytes);
    }),
    { numRuns: 5000 },
  );
});
