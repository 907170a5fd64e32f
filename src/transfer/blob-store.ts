/** Content-addressed storage of blobs: complete ones by root, incomplete ones leaf by leaf. */
import { TransportError } from "../base/errors.ts";
import type { Manifest } from "../protocol/manifest.ts";

/** A blob's name as it travels in control messages: 64 hex digits of the manifest's SHA-256, and the size in bytes. */
export interface BlobRef {
  readonly root: string;
  readonly sizeBytes: number;
}

/** A blob on its way in: verified leaves are written in any order and survive a restart of the process. */
export interface PartialBlob {
  readonly manifest: Manifest;
  /** True when leaf `index` was written and verified, now or before a restart. */
  hasLeaf(index: number): boolean;
  /** Stores one leaf that the caller has verified; one call at a time. */
  writeLeaf(index: number, bytes: Uint8Array): Promise<void>;
  /** Makes the complete blob durable and visible under its root. Throws TransportError when a leaf is missing. */
  commit(): Promise<void>;
  /** Keeps what is there for a later `open` and releases the file. */
  close(): Promise<void>;
}

/** Blobs by root. A complete blob never changes, so readers need no lock. */
export interface BlobStore {
  /** True when the complete blob is here: it never has to be sent again. */
  has(root: string): Promise<boolean>;
  /** Stores bytes and returns their name; storing the same bytes twice is free. */
  put(bytes: Uint8Array): Promise<BlobRef>;
  /** The manifest of a blob that is here, complete or not. */
  manifest(root: string): Promise<Manifest | undefined>;
  /** A copy of `[offsetBytes, offsetBytes + lengthBytes)` of a complete blob; undefined when unknown or out of range. */
  read(root: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array | undefined>;
  /** The whole blob. Throws TransportError when it is not here. */
  readAll(root: string): Promise<Uint8Array>;
  /** Starts or resumes a blob. Throws TransportError while the same root is open. */
  open(manifest: Manifest): Promise<PartialBlob>;
  /** Removes a blob, complete or not; unknown roots are no error. */
  remove(root: string): Promise<void>;
  /** Removes all blobs but these, incomplete ones too unless they are open, and what a crash has left half written. */
  sweep(isKept: (root: string) => boolean): Promise<void>;
  /** Roots of all complete blobs, sorted. */
  list(): Promise<string[]>;
}

/** The error of a commit that comes too early. */
export function missingLeaves({ root, leafCount }: Manifest): TransportError {
  return new TransportError("blob is committed before all leaves are written", {
    expected: `${leafCount} leaves`,
    root,
  });
}
