/** The manifest of a blob: its size and the SHA-256 of every leaf; its own SHA-256, the root, names the blob. */
import { createHash } from "node:crypto";
import { ProtocolError } from "../base/errors.ts";
import { accepted, refused } from "./decoded.ts";
import type { Decoded } from "./decoded.ts";

/** Leaf size in bytes: the unit of verification, of resumption and of the largest range on the wire. */
export const LEAF_BYTES = 64 * 1024;
/** Largest blob: offsets stay below 2^31. */
export const MAX_BLOB_BYTES = 2 ** 30;

const MAGIC = 0x46534d31; // "FSM1"
const HEADER_BYTES = 8;
const HASH_BYTES = 32;
const ROOT_PATTERN = /^[0-9a-f]{64}$/;

/**
 * A verified manifest. Encoded: u32 magic "FSM1", u32 size, then 32 bytes per leaf, big endian. Root, manifest and leaves
 * form a hash tree of two levels (Merkle 1987), so each leaf can be checked on arrival given the root alone.
 */
export interface Manifest {
  readonly root: string;
  readonly sizeBytes: number;
  readonly leafCount: number;
  /** The encoded manifest, what the root is the hash of. */
  readonly encoded: Uint8Array;
}

export function isRoot(text: string): boolean {
  return ROOT_PATTERN.test(text);
}

export function leafCountOf(sizeBytes: number): number {
  return Math.ceil(sizeBytes / LEAF_BYTES);
}

/** Bytes of the encoded manifest of a blob of `sizeBytes`. */
export function manifestBytesOf(sizeBytes: number): number {
  return HEADER_BYTES + HASH_BYTES * leafCountOf(sizeBytes);
}

/** Bytes of leaf `index`: LEAF_BYTES but for the last one. */
export function leafBytesOf(sizeBytes: number, index: number): number {
  return Math.min(LEAF_BYTES, sizeBytes - index * LEAF_BYTES);
}

/** The manifest of bytes in memory. Throws ProtocolError beyond MAX_BLOB_BYTES. */
export function manifestOf(bytes: Uint8Array): Manifest {
  if (bytes.byteLength > MAX_BLOB_BYTES) {
    throw new ProtocolError("blob is too large", {
      expected: `at most ${MAX_BLOB_BYTES} bytes`,
      got: `${bytes.byteLength} bytes`,
    });
  }
  const leafCount = leafCountOf(bytes.byteLength);
  const encoded = new Uint8Array(manifestBytesOf(bytes.byteLength));
  const view = new DataView(encoded.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, bytes.byteLength);
  for (let i = 0; i < leafCount; i++) {
    const leaf = bytes.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES);
    encoded.set(sha256(leaf), HEADER_BYTES + i * HASH_BYTES);
  }
  return {
    root: sha256(encoded).toString("hex"),
    sizeBytes: bytes.byteLength,
    leafCount,
    encoded,
  };
}

/** Reads a manifest that claims to be the one named `root`. Never throws. */
export function decodeManifest(encoded: Uint8Array, root: string): Decoded<Manifest> {
  if (encoded.byteLength < HEADER_BYTES) return refused("too-short", `${encoded.byteLength} bytes`);
  if (encoded.byteLength > manifestBytesOf(MAX_BLOB_BYTES)) {
    return refused("too-large", `${encoded.byteLength} bytes`);
  }
  if (sha256(encoded).toString("hex") !== root) return refused("hash", "does not match its root");
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.byteLength);
  if (view.getUint32(0) !== MAGIC) return refused("bad-magic", "not a manifest");
  const sizeBytes = view.getUint32(4);
  if (sizeBytes > MAX_BLOB_BYTES || encoded.byteLength !== manifestBytesOf(sizeBytes)) {
    return refused("malformed", `${encoded.byteLength} bytes for a blob of ${sizeBytes}`);
  }
  return accepted({ root, sizeBytes, leafCount: leafCountOf(sizeBytes), encoded });
}

/** The SHA-256 of leaf `index` in hex; "" when there is no such leaf. */
export function leafHash({ encoded }: Manifest, index: number): string {
  const start = HEADER_BYTES + index * HASH_BYTES;
  return Buffer.from(encoded.subarray(start, start + HASH_BYTES)).toString("hex");
}

/** True when `bytes` is exactly leaf `index` of the blob. */
export function leafMatches(manifest: Manifest, index: number, bytes: Uint8Array): boolean {
  if (index < 0 || index >= manifest.leafCount) return false;
  if (bytes.byteLength !== leafBytesOf(manifest.sizeBytes, index)) return false;
  const start = HEADER_BYTES + index * HASH_BYTES;
  return sha256(bytes).equals(manifest.encoded.subarray(start, start + HASH_BYTES));
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
