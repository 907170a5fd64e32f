/** The control message: a small JSON object with an id, so that a repeat can be recognised and answered again. */
import * as v from "valibot";
import { ProtocolError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { accepted, refused } from "./decoded.ts";
import type { Decoded } from "./decoded.ts";
import { ID_PATTERN } from "./topics.ts";
import { PROTOCOL_VERSION } from "./version.ts";

/** Largest control message on the wire, bytes; bigger content travels as a blob. */
export const MAX_CONTROL_BYTES = 16 * 1024;

/** Crockford base 32 without I, L, O, U, as in the ULID specification. */
const ULID_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID_PATTERN = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const ulid = v.pipe(v.string(), v.regex(ULID_PATTERN));

const controlSchema = v.object({
  v: v.literal(PROTOCOL_VERSION),
  t: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/)),
  id: ulid,
  re: v.exactOptional(ulid),
  dev: v.pipe(v.string(), v.regex(ID_PATTERN)),
  epoch: count,
  round: count,
  seq: count,
  body: v.unknown(),
});

/**
 * One control message. `t` type, `id` ULID, `re` id of the message this answers, `dev` the device it is from or
 * for, `epoch` incarnation of the coordinator, `round` round number, `seq` counter of the sender, `body` checked
 * by the schema of its type.
 */
export type ControlMessage = v.InferOutput<typeof controlSchema>;

/** UTF-8 JSON of a message. Throws ProtocolError beyond MAX_CONTROL_BYTES or when a field is out of range. */
export function encodeControl(message: ControlMessage): Uint8Array {
  const checked = v.safeParse(controlSchema, message);
  if (!checked.success) {
    throw new ProtocolError(`control message ${message.t} is not valid`, {
      got: firstIssue(checked.issues),
    });
  }
  const payload = new TextEncoder().encode(JSON.stringify(checked.output));
  if (payload.byteLength > MAX_CONTROL_BYTES) {
    throw new ProtocolError(`control message ${message.t} is too large`, {
      expected: `at most ${MAX_CONTROL_BYTES} bytes`,
      got: `${payload.byteLength} bytes`,
      hint: "send the content as a blob and its reference in the message",
    });
  }
  return payload;
}

/** Reads a control message from the network; unknown fields are ignored, `body` stays unchecked. Never throws. */
export function decodeControl(payload: Uint8Array): Decoded<ControlMessage> {
  if (payload.byteLength > MAX_CONTROL_BYTES) {
    return refused("too-large", `${payload.byteLength} bytes`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch {
    return refused("not-json", `${payload.byteLength} bytes`);
  }
  const checked = v.safeParse(controlSchema, parsed);
  if (checked.success) return accepted(checked.output);
  const path = checked.issues[0].path?.[0]?.key;
  return refused(path === "v" ? "version" : "malformed", firstIssue(checked.issues));
}

/** A ULID: 48 bits of milliseconds, 80 random bits; sorts by time. */
export function newMessageId(nowMs: number, rng: Rng): string {
  let id = "";
  let rest = Math.floor(nowMs);
  for (let i = 0; i < 10; i++) {
    id = ULID_DIGITS.charAt(rest % 32) + id;
    rest = Math.floor(rest / 32);
  }
  for (let i = 0; i < 16; i++) id += ULID_DIGITS.charAt(rng.int(32));
  return id;
}

/** When a ULID was made, in milliseconds. */
export function ulidTimeMs(id: string): number {
  return Array.from(id.slice(0, 10)).reduce(
    (sum, digit) => 32 * sum + ULID_DIGITS.indexOf(digit),
    0,
  );
}

function firstIssue(issues: readonly [v.BaseIssue<unknown>, ...v.BaseIssue<unknown>[]]): string {
  const path = v.getDotPath(issues[0]) ?? "message";
  return `${path}: ${issues[0].message}`.slice(0, 200);
}
