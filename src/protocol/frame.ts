/** The binary frame of the data topics: asks for a range of a blob, carries one, or refuses. */
import { ProtocolError } from "../base/errors.ts";
import { accepted, refused } from "./decoded.ts";
import type { Decoded } from "./decoded.ts";
import { LEAF_BYTES, isRoot } from "./manifest.ts";
import { PROTOCOL_VERSION } from "./version.ts";

/** Largest range in bytes: one leaf, so that a frame stays below every broker's default packet limit. */
export const MAX_RANGE_BYTES = LEAF_BYTES;
/** Bytes in front of the payload. */
export const FRAME_HEADER_BYTES = 52;

/** A blob's content, or the manifest that its root is the hash of. */
export const blobParts = ["content", "manifest"] as const;
export type BlobPart = (typeof blobParts)[number];

/** `unknown`: no such blob for this peer. `out-of-range`: not within the blob. */
export const refusalReasons = ["unknown", "out-of-range"] as const;
export type RefusalReason = (typeof refusalReasons)[number];

interface RangeAddress {
  /** Chosen by the asking side, repeated in the answer. */
  readonly requestId: number;
  /** 64 hex digits; every frame names its blob, so neither side keeps a table of streams. */
  readonly root: string;
  readonly part: BlobPart;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export type Frame =
  | ({ readonly type: "request" } & RangeAddress)
  | ({ readonly type: "range"; readonly payload: Uint8Array } & RangeAddress)
  | ({ readonly type: "refusal"; readonly reason: RefusalReason } & RangeAddress);

/** In wire order; the code is the place plus one. */
const frameTypes = ["request", "range", "refusal"] as const;
const MAGIC = 0x464c; // "FL"
const ROOT_OFFSET = 20;

/**
 * Big endian: u16 magic "FL", u8 version, u8 type, u32 request id, u8 part, u8 refusal reason, u16 zero, u32 offset,
 * u32 length, 32 bytes root, then the payload of a range. No checksum: TCP has one, and every leaf is hashed.
 * Throws ProtocolError when a field is out of range.
 */
export function encodeFrame(frame: Frame): Uint8Array {
  const payload = frame.type === "range" ? frame.payload : new Uint8Array(0);
  const lengthFits = frame.lengthBytes > 0 && frame.lengthBytes <= MAX_RANGE_BYTES;
  const payloadFits = frame.type !== "range" || payload.byteLength === frame.lengthBytes;
  if (!lengthFits || !payloadFits || !isRoot(frame.root)) {
    throw new ProtocolError("data frame is not valid", {
      expected: `1 to ${MAX_RANGE_BYTES} bytes of one blob`,
      got: `${frame.lengthBytes} bytes, payload ${payload.byteLength}, of ${frame.root.slice(0, 64)}`,
    });
  }
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, MAGIC);
  view.setUint8(2, PROTOCOL_VERSION);
  view.setUint8(3, 1 + frameTypes.indexOf(frame.type));
  view.setUint32(4, frame.requestId);
  view.setUint8(8, blobParts.indexOf(frame.part));
  if (frame.type === "refusal") view.setUint8(9, 1 + refusalReasons.indexOf(frame.reason));
  view.setUint32(12, frame.offsetBytes);
  view.setUint32(16, frame.lengthBytes);
  bytes.set(Buffer.from(frame.root, "hex"), ROOT_OFFSET);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** Reads a frame; the payload of a range is a view of `bytes`, nothing is copied. Never throws. */
export function decodeFrame(bytes: Uint8Array): Decoded<Frame> {
  const { byteLength } = bytes;
  if (byteLength < FRAME_HEADER_BYTES) return refused("too-short", `${byteLength} bytes`);
  if (byteLength > FRAME_HEADER_BYTES + MAX_RANGE_BYTES) {
    return refused("too-large", `${byteLength} bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, byteLength);
  if (view.getUint16(0) !== MAGIC) return refused("bad-magic", "not a data frame");
  if (view.getUint8(2) !== PROTOCOL_VERSION) return refused("version", `${view.getUint8(2)}`);
  const type = frameTypes[view.getUint8(3) - 1];
  const part = blobParts[view.getUint8(8)];
  const reason = refusalReasons[view.getUint8(9) - 1];
  const lengthBytes = view.getUint32(16);
  const payload = bytes.subarray(FRAME_HEADER_BYTES);
  const wellFormed =
    type !== undefined &&
    part !== undefined &&
    (type === "refusal") === (reason !== undefined) &&
    (reason !== undefined || view.getUint8(9) === 0) &&
    view.getUint16(10) === 0 &&
    lengthBytes > 0 &&
    lengthBytes <= MAX_RANGE_BYTES &&
    payload.byteLength === (type === "range" ? lengthBytes : 0);
  if (!wellFormed) return refused("malformed", `type ${view.getUint8(3)}, ${byteLength} bytes`);
  const address: RangeAddress = {
    requestId: view.getUint32(4),
    root: Buffer.from(bytes.subarray(ROOT_OFFSET, FRAME_HEADER_BYTES)).toString("hex"),
    part,
    offsetBytes: view.getUint32(12),
    lengthBytes,
  };
  if (type === "range") return accepted({ type, ...address, payload });
  if (type === "request") return accepted({ type, ...address });
  return accepted({ type, ...address, reason: reason as RefusalReason });
}
