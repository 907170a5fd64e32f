/** Blobs in memory, for tests, simulations and short-lived processes. */
import { TransportError } from "../base/errors.ts";
import { LEAF_BYTES, manifestOf } from "../protocol/manifest.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { missingLeaves } from "./blob-store.ts";
import type { BlobRef, BlobStore, PartialBlob } from "./blob-store.ts";

interface Entry {
  readonly manifest: Manifest;
  readonly bytes: Uint8Array;
  readonly leaves: Set<number>;
  complete: boolean;
  open: boolean;
}

export class MemoryBlobStore implements BlobStore {
  readonly #entries = new Map<string, Entry>();

  async has(root: string): Promise<boolean> {
    return this.#entries.get(root)?.complete === true;
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const manifest = manifestOf(bytes);
    const { root, sizeBytes } = manifest;
    if (!(await this.has(root))) {
      const leaves = new Set<number>();
      this.#entries.set(root, {
        manifest,
        bytes: bytes.slice(),
        leaves,
        complete: true,
        open: false,
      });
    }
    return { root, sizeBytes };
  }

  async manifest(root: string): Promise<Manifest | undefined> {
    return this.#entries.get(root)?.manifest;
  }

  async read(
    root: string,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<Uint8Array | undefined> {
    const entry = this.#entries.get(root);
    if (entry?.complete !== true || offsetBytes + lengthBytes > entry.bytes.byteLength) {
      return undefined;
    }
    return entry.bytes.slice(offsetBytes, offsetBytes + lengthBytes);
  }

  async readAll(root: string): Promise<Uint8Array> {
    const entry = this.#entries.get(root);
    if (entry?.complete !== true) throw new TransportError("blob is not in the store", { root });
    return entry.bytes.slice();
  }

  async open(manifest: Manifest): Promise<PartialBlob> {
    const entry = this.#entries.get(manifest.root) ?? {
      manifest,
      bytes: new Uint8Array(manifest.sizeBytes),
      leaves: new Set<number>(),
      complete: false,
      open: false,
    };
    if (entry.open) throw new TransportError("blob is already open", { root: manifest.root });
    entry.open = true;
    this.#entries.set(manifest.root, entry);
    return {
      manifest,
      hasLeaf: (index) => entry.complete || entry.leaves.has(index),
      async writeLeaf(index, bytes) {
        entry.bytes.set(bytes, index * LEAF_BYTES);
        entry.leaves.add(index);
      },
      async commit() {
        if (!entry.complete && entry.leaves.size < manifest.leafCount)
          throw missingLeaves(manifest);
        entry.complete = true;
        entry.open = false;
      },
      async close() {
        entry.open = false;
      },
    };
  }

  async remove(root: string): Promise<void> {
    this.#entries.delete(root);
  }

  async sweep(isKept: (root: string) => boolean): Promise<void> {
    for (const [root, { open }] of this.#entries) {
      if (!open && !isKept(root)) this.#entries.delete(root);
    }
  }

  async list(): Promise<string[]> {
    const complete = [...this.#entries].filter(([, entry]) => entry.complete);
    return complete.map(([root]) => root).sort();
  }
}
