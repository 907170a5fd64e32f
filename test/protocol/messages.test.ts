/** Messages: what is sent is what is read, and nothing that arrives can do harm. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Message,
  readCoordinatorMessage,
  readDeviceMessage,
  toTypeAndBody,
} from "../../src/protocol/messages.ts";
import { COORDINATOR_MESSAGES, DEVICE_MESSAGES, ROOT, TASK } from "../support/messages.ts";
import { must } from "../support/must.ts";

/** The message after a trip through JSON, as a control message carries it. */
function onTheWire(message: Message): { t: string; body: unknown } {
  return JSON.parse(JSON.stringify(toTypeAndBody(message))) as { t: string; body: unknown };
}

test("every kind is read as it was sent, and only by the side that it is for", () => {
  for (const message of DEVICE_MESSAGES) {
    assert.deepEqual(readDeviceMessage(onTheWire(message)), { ok: true, value: message });
    assert.equal(readCoordinatorMessage(onTheWire(message)).ok, false);
  }
  for (const message of COORDINATOR_MESSAGES) {
    assert.deepEqual(readCoordinatorMessage(onTheWire(message)), { ok: true, value: message });
    assert.equal(readDeviceMessage(onTheWire(message)).ok, false);
  }
});

test("unknown fields are ignored, unknown kinds refused, inherited names included", () => {
  const [hello] = DEVICE_MESSAGES;
  const { t, body } = onTheWire(must(hello));
  const extended = readDeviceMessage({ t, body: { ...(body as object), colour: "red" } });
  assert.deepEqual(extended, { ok: true, value: hello });
  for (const kind of ["dance", "constructor", "__proto__", "toString"]) {
    const read = readDeviceMessage({ t: kind, body: {} });
    assert.equal(read.ok, false);
  }
});

const withFile = (name: string): Message => {
  const base = { files: [{ name, root: ROOT, sizeBytes: 1 }] };
  return { kind: "state", wanted: { ...TASK, base }, heartbeatMs: 1 };
};

test("a file name that leaves its folder is refused", () => {
  for (const name of [
    "../x",
    "a/b",
    "/etc/passwd",
    "..",
    ".",
    ".hidden",
    "",
    "a\\b",
    "a\0b",
    "x".repeat(101),
  ]) {
    assert.equal(readCoordinatorMessage(onTheWire(withFile(name))).ok, false, JSON.stringify(name));
  }
  assert.equal(readCoordinatorMessage(onTheWire(withFile("model-00001.safetensors"))).ok, true);
});

test("a loss that is not a number does not pass", () => {
  const offer = DEVICE_MESSAGES.find(({ kind }) => kind === "offer") as Extract<
    Message,
    { kind: "offer" }
  >;
  const read = readDeviceMessage(
    onTheWire({ ...offer, report: { ...offer.report, lossLast: Number.NaN } }),
  );
  assert.equal(read.ok ? "" : read.detail.includes("lossLast"), true);
});

test("a message with one part replaced by anything is read or refused, never thrown at", () => {
  const part = fc.oneof(fc.jsonValue(), fc.constantFrom(null, -1, 1e300, "", [], {}));
  const messages = fc.constantFrom(...DEVICE_MESSAGES, ...COORDINATOR_MESSAGES);
  let refused = 0;
  fc.assert(
    fc.property(messages, fc.nat(200), part, (message, place, value) => {
      const { t, body } = onTheWire(message);
      const spoilt = { t, body: replaceAt(body, place, value) };
      for (const read of [readDeviceMessage(spoilt), readCoordinatorMessage(spoilt)]) {
        if (!read.ok) refused++;
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(refused > 2100, `${refused} refusals: the replacements must break something`);
});

/** A copy of a JSON value with its `place`-th node, in order of depth, replaced. */
function replaceAt(body: unknown, place: number, value: unknown): unknown {
  let left = place % countNodes(body);
  const visit = (node: unknown): unknown => {
    if (left-- === 0) return value;
    if (Array.isArray(node)) return node.map(visit);
    if (node === null || typeof node !== "object") return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, visit(child)]));
  };
  return visit(body);
}

function countNodes(node: unknown): number {
  if (node === null || typeof node !== "object") return 1;
  return Object.values(node).reduce((sum: number, child) => sum + countNodes(child), 1);
}
