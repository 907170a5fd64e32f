/** Blob stores of many simulated parties over one pool: each sees its own blobs, and every content is kept once. */
import { TransportError } from "../base/errors.ts";
import { type Manifest, manifestOf } from "../protocol/manifest.ts";
import { missingLeaves } from "../transfer/blob-store.ts";
import type { BlobRef, BlobStore, PartialBlob } from "../transfer/blob-store.ts";

interface Content {
  readonly manifest: Manifest;
  readonly bytes: Uint8Array;
  /** Stores that hold it or are receiving it; with the last of them it goes. */
  readonly holders: Set<BlobStore>;
}

/**
 * The contents behind the stores. A blob reaches a store by `put`, or by a pull from a store that has it, so a pulled
 * blob is in the pool already: its leaves are verified on arrival as ever, and then only marked as here.
 */
export class BlobPool {
  readonly #contents = new Map<string, Content>();

  /** A new store that holds these blobs of the pool. Throws TransportError for one that is not in it. */
  store(roots: readonly string[] = []): BlobStore {
    return new SharedBlobStore(this, roots);
  }

  find(root: string): Content | undefined {
    return this.#contents.get(root);
  }

  /** `bytes` are copied unless the content is known. */
  keep(manifest: Manifest, bytes: Uint8Array, holder: BlobStore): void {
    const { root } = manifest;
    const content = this.#contents.get(root);
    if (content !== undefined) content.holders.add(holder);
    else this.#contents.set(root, { manifest, bytes: bytes.slice(), holders: new Set([holder]) });
  }

  drop(root: string, holder: BlobStore): void {
    const content = this.#contents.get(root);
    content?.holders.delete(holder);
    if (content?.holders.size === 0) this.#contents.delete(root);
  }
}

interface Arrival {
  readonly content: Content;
  readonly leaves: Set<number>;
  isOpen: boolean;
}

class SharedBlobStore implements BlobStore {
  readonly #pool: BlobPool;
  readonly #complete = new Map<string, Content>();
  readonly #arriving = new Map<string, Arrival>();

  constructor(pool: BlobPool, roots: readonly string[]) {
    this.#pool = pool;
    for (const root of roots) {
      const content = this.#find(root);
      content.holders.add(this);
      this.#complete.set(root, content);
    }
  }

  async has(root: string): Promise<boolean> {
    return this.#complete.has(root);
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const manifest = manifestOf(bytes);
    const { root, sizeBytes } = manifest;
    this.#pool.keep(manifest, bytes, this);
    this.#complete.set(root, this.#find(root));
    return { root, sizeBytes };
  }

  async manifest(root: string): Promise<Manifest | undefined> {
    return (this.#complete.get(root) ?? this.#arriving.get(root)?.content)?.manifest;
  }

  async read(
    root: string,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<Uint8Array | undefined> {
    const bytes = this.#complete.get(root)?.bytes;
    const endBytes = offsetBytes + lengthBytes;
    if (bytes === undefined || endBytes > bytes.byteLength) return undefined;
    return bytes.slice(offsetBytes, endBytes);
  }

  async readAll(root: string): Promise<Uint8Array> {
    const content = this.#complete.get(root);
    if (content === undefined) throw new TransportError("blob is not in the store", { root });
    return content.bytes.slice();
  }

  async open(manifest: Manifest): Promise<PartialBlob> {
    const { root } = manifest;
    const content = this.#find(root);
    const arrival = this.#arriving.get(root) ?? { content, leaves: new Set(), isOpen: false };
    if (arrival.isOpen) throw new TransportError("blob is already open", { root });
    arrival.isOpen = true;
    content.holders.add(this);
    this.#arriving.set(root, arrival);
    return {
      manifest,
      hasLeaf: (index) => this.#complete.has(root) || arrival.leaves.has(index),
      writeLeaf: async (index) => void arrival.leaves.add(index),
      commit: async () => {
        const isWhole = this.#complete.has(root) || arrival.leaves.size === manifest.leafCount;
        if (!isWhole) throw missingLeaves(manifest);
        this.#complete.set(root, content);
        this.#arriving.delete(root);
      },
      close: async () => void (arrival.isOpen = false),
    };
  }

  async remove(root: string): Promise<void> {
    this.#complete.delete(root);
    this.#arriving.delete(root);
    this.#pool.drop(root, this);
  }

  async sweep(isKept: (root: string) => boolean): Promise<void> {
    const arriving = [...this.#arriving].filter(([, { isOpen }]) => !isOpen);
    for (const root of [...this.#complete.keys(), ...arriving.map(([each]) => each)]) {
      if (!isKept(root)) await this.remove(root);
    }
  }

  async list(): Promise<string[]> {
    return [...this.#complete.keys()].sort();
  }

  #find(root: string): Content {
    const content = this.#pool.find(root);
    if (content !== undefined) return content;
    throw new TransportError("nobody in the simulation has this blob any more", { root });
  }
}
