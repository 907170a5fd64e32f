/** The seal of a message: who sent it, as which in a row, to whom, and an Ed25519 signature over that, its topic and its content. */
import type { KeyObject } from "node:crypto";
import { isSignedBy, signatureOf } from "./keys.ts";

/** A process start of one party, 96 random bits as base64url; nobody else's, and none again after a restart. */
export type SessionId = string;

export interface SealHeader {
  readonly from: SessionId;
  /** Counts the sender's messages from 1. */
  readonly serial: number;
  /** The receiver's session; null where the sender need not know it: presence and announcements. */
  readonly to: SessionId | null;
}

/** Longest seal in bytes: line feed, mark, sessions, serial and signature. */
export const MAX_SEAL_BYTES = 1 + 4 + 17 + 17 + 17 + 86;

const MARK = "fs1";
const NOBODY = "-";
const SEAL = /^fs1 ([\w-]{16}) ([1-9]\d{0,15}) ([\w-]{16}|-) ([\w-]{86})$/;
const LINE_FEED = 10;

/** The content, a line feed, and the seal; the content stays readable for whoever watches the broker. */
export function seal(
  content: Uint8Array,
  topic: string,
  header: SealHeader,
  key: KeyObject,
): Uint8Array {
  const signature = signatureOf(key, signedBytes(content, topic, header)).toString("base64url");
  const { from, serial, to } = header;
  return Buffer.concat([
    content,
    Buffer.from(`\n${MARK} ${from} ${serial} ${to ?? NOBODY} ${signature}`),
  ]);
}

export interface Unsealed {
  readonly header: SealHeader;
  /** A view of the payload. */
  readonly content: Uint8Array;
  readonly signature: Uint8Array;
}

/** Takes the seal off without checking it; undefined when there is none. Never throws. */
export function unseal(payload: Uint8Array): Unsealed | undefined {
  const end = payload.lastIndexOf(LINE_FEED);
  if (end < 0 || payload.byteLength - end > MAX_SEAL_BYTES) return undefined;
  const text = Buffer.from(payload.subarray(end + 1)).toString("latin1");
  const [, from = "", serial = "", to = "", signature = ""] = SEAL.exec(text) ?? [];
  if (signature === "" || !Number.isSafeInteger(Number(serial))) return undefined;
  return {
    header: { from, serial: Number(serial), to: to === NOBODY ? null : to },
    content: payload.subarray(0, end),
    signature: Buffer.from(signature, "base64url"),
  };
}

/** True when the holder of the key has sealed this content for this topic. */
export function isGenuine(unsealed: Unsealed, topic: string, key: KeyObject): boolean {
  const { content, header, signature } = unsealed;
  return isSignedBy(key, signedBytes(content, topic, header), signature);
}

/** The topic is signed too: what was said on one topic means nothing on another. */
function signedBytes(content: Uint8Array, topic: string, header: SealHeader): Buffer {
  const { from, serial, to } = header;
  return Buffer.concat([
    Buffer.from(`fedspine seal 1\n${topic}\n${from} ${serial} ${to ?? NOBODY}\n`),
    content,
  ]);
}
