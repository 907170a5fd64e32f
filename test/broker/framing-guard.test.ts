/** The framing guard: packet boundaries at every split, limits, and what it lets through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FramingGuard } from "../../broker/src/framing-guard.ts";

const limits = { maxConnectBytes: 64, maxPacketBytes: 1000 };

/** A packet of the given type with a body of `bodyBytes`. */
function packet(type: number, bodyBytes: number): Buffer {
  const header = [type << 4];
  let rest = bodyBytes;
  do {
    header.push((rest % 128) + (rest >= 128 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.concat([Buffer.from(header), Buffer.alloc(bodyBytes, 0xff)]);
}

test("packets within the limits pass however they are split", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 990 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 50 }),
      (bodies, cuts) => {
        const guard = new FramingGuard(limits);
        assert.equal(guard.inspect(packet(1, 20)), "ok");
        guard.authenticate();
        let rest = Buffer.concat(bodies.map((bytes) => packet(3, bytes)));
        for (let i = 0; rest.byteLength > 0; i++) {
          const cut = cuts[i % cuts.length] ?? 1;
          assert.equal(guard.inspect(rest.subarray(0, cut)), "ok");
          rest = rest.subarray(cut);
        }
      },
    ),
  );
});

test("the limit is on the whole packet: at it passes, one byte more does not", () => {
  for (const [bodyBytes, verdict] of [
    [62, "ok"],
    [63, "packet-too-large"],
  ] as const) {
    assert.equal(new FramingGuard(limits).inspect(packet(1, bodyBytes)), verdict);
  }
  for (const [bodyBytes, verdict] of [
    [997, "ok"],
    [998, "packet-too-large"],
  ] as const) {
    const guard = new FramingGuard(limits);
    guard.authenticate();
    assert.equal(guard.inspect(packet(1, 10)), "ok");
    assert.equal(guard.inspect(packet(3, bodyBytes)), verdict);
  }
});

test("a claimed length is refused before its bytes arrive", () => {
  const guard = new FramingGuard(limits);
  assert.equal(guard.inspect(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f])), "packet-too-large");
});

test("a first packet that is not CONNECT and an endless length are refused", () => {
  assert.equal(new FramingGuard(limits).inspect(packet(3, 4)), "not-connect");
  const endless = Buffer.from([0x10, 0xff, 0xff, 0xff, 0xff]);
  assert.equal(new FramingGuard(limits).inspect(endless), "malformed-length");
});
