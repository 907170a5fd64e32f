/** Pulls blobs into a store: manifest first, then the leaves that are missing, then one durable commit. */
import type { Clock } from "../base/clock.ts";
import { TransportError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Frame } from "../protocol/frame.ts";
import {
  LEAF_BYTES,
  decodeManifest,
  isRoot,
  leafBytesOf,
  leafMatches,
  manifestBytesOf,
} from "../protocol/manifest.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { BlobRef, BlobStore, PartialBlob } from "./blob-store.ts";
import type { PullOptions, PullReport } from "./data-plane.ts";
import { adoptKnownLeaves } from "./known-leaves.ts";
import { PullSlots } from "./pull-slots.ts";
import { RangeFetcher } from "./range-fetcher.ts";
import type { Piece } from "./range-fetcher.ts";

export interface BlobReceiverOptions {
  readonly store: BlobStore;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly send: (device: string, frame: Uint8Array) => Promise<void>;
  /** Pulls at once; each holds at most about 1 MiB of leaves. The others wait in line. */
  readonly maxPulls: number;
  readonly idleTimeoutMs: number;
  /** Takes leaves from other blobs of the store instead of fetching them; worth it where few blobs are kept. */
  readonly adoptsLeaves: boolean;
}

export class BlobReceiver {
  readonly #options: BlobReceiverOptions;
  readonly #slots: PullSlots;
  /** By root: of two pulls of one blob the second waits, then finds it here. */
  readonly #active = new Map<string, { device: string; fetcher: RangeFetcher }>();
  readonly #inLine = new Map<string, Promise<unknown>>();

  constructor(options: BlobReceiverOptions) {
    this.#options = options;
    this.#slots = new PullSlots(options.maxPulls);
  }

  /** See DataPlane.pull. */
  async pull(options: PullOptions): Promise<PullReport> {
    const { root, sizeBytes } = options.blob;
    if (!isRoot(root) || sizeBytes > options.maxBytes) {
      throw new TransportError("blob is refused before it is pulled", {
        expected: `a root, and at most ${options.maxBytes} bytes`,
        got: `${root.slice(0, 64)}, ${sizeBytes} bytes`,
      });
    }
    const before = this.#inLine.get(root);
    const pulling = (async () => {
      await before?.catch(() => {});
      return this.#slots.run(() => this.#pullNow(options));
    })();
    this.#inLine.set(root, pulling);
    try {
      return await pulling;
    } finally {
      if (this.#inLine.get(root) === pulling) this.#inLine.delete(root);
    }
  }

  /** Takes an answer from `device`. */
  onFrame(device: string, frame: Frame): void {
    const active = this.#active.get(frame.root);
    if (active?.device === device) active.fetcher.onFrame(frame);
  }

  onReconnect(): void {
    for (const { fetcher } of this.#active.values()) fetcher.onReconnect();
  }

  /** Rejects the pulls in progress and in line. */
  close(): void {
    this.#slots.close();
    for (const { fetcher } of this.#active.values()) {
      fetcher.abort(new TransportError("the data connection is closed"));
    }
  }

  async #pullNow(options: PullOptions): Promise<PullReport> {
    const { device, blob, signal, onProgress } = options;
    const { store, clock, rng, send, idleTimeoutMs, adoptsLeaves } = this.#options;
    throwIfAborted(signal, blob.root);
    if (await store.has(blob.root)) {
      onProgress?.({ haveBytes: blob.sizeBytes, sizeBytes: blob.sizeBytes });
      return { receivedBytes: 0, resumedBytes: blob.sizeBytes, wastedBytes: 0 };
    }
    const fetcher = new RangeFetcher({
      root: blob.root,
      clock,
      rng: rng.fork(blob.root),
      send: (frame) => send(device, frame),
      idleTimeoutMs,
    });
    const onAbort = (): void => fetcher.abort(aborted(blob.root));
    this.#active.set(blob.root, { device, fetcher });
    signal?.addEventListener("abort", onAbort);
    try {
      const manifest = (await store.manifest(blob.root)) ?? (await fetchManifest(fetcher, blob));
      throwIfAborted(signal, blob.root);
      const partial = await store.open(manifest);
      try {
        if (adoptsLeaves) await adoptKnownLeaves(store, partial);
        const resumedBytes = haveBytesOf(partial);
        await fetchLeaves(fetcher, partial, resumedBytes, options);
        await partial.commit();
        const { receivedBytes, wastedBytes } = fetcher;
        return { receivedBytes, resumedBytes, wastedBytes };
      } finally {
        await partial.close();
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
      this.#active.delete(blob.root);
    }
  }
}

async function fetchManifest(
  fetcher: RangeFetcher,
  { root, sizeBytes }: BlobRef,
): Promise<Manifest> {
  let manifest: Manifest | undefined;
  const piece: Piece = {
    part: "manifest",
    offsetBytes: 0,
    lengthBytes: manifestBytesOf(sizeBytes),
    async accept(bytes) {
      const decoded = decodeManifest(bytes, root);
      if (decoded.ok) manifest = decoded.value;
      return decoded.ok;
    },
  };
  await fetcher.fetch([piece]);
  if (manifest?.sizeBytes === sizeBytes) return manifest;
  throw new TransportError("the blob is not of the announced size", {
    expected: `${sizeBytes} bytes`,
    got: `${manifest?.sizeBytes} bytes`,
    root,
  });
}

async function fetchLeaves(
  fetcher: RangeFetcher,
  partial: PartialBlob,
  resumedBytes: number,
  { onProgress }: PullOptions,
): Promise<void> {
  const { manifest } = partial;
  const { sizeBytes, leafCount } = manifest;
  let haveBytes = resumedBytes;
  let writing = Promise.resolve();
  function* missing(): Generator<Piece> {
    for (let index = 0; index < leafCount; index++) {
      if (partial.hasLeaf(index)) continue;
      yield {
        part: "content",
        offsetBytes: index * LEAF_BYTES,
        lengthBytes: leafBytesOf(sizeBytes, index),
        async accept(bytes) {
          if (!leafMatches(manifest, index, bytes)) return false;
          writing = writing.then(() => partial.writeLeaf(index, bytes));
          await writing;
          haveBytes += bytes.byteLength;
          onProgress?.({ haveBytes, sizeBytes });
          return true;
        },
      };
    }
  }
  try {
    await fetcher.fetch(missing());
  } finally {
    // A pull that is aborted ends while leaves are being written; the file must not be closed under them.
    await writing.catch(() => {});
  }
}

function haveBytesOf(partial: PartialBlob): number {
  const { sizeBytes, leafCount } = partial.manifest;
  let bytes = 0;
  for (let i = 0; i < leafCount; i++) if (partial.hasLeaf(i)) bytes += leafBytesOf(sizeBytes, i);
  return bytes;
}

function aborted(root: string): TransportError {
  return new TransportError("the pull was aborted", { root });
}

function throwIfAborted(signal: AbortSignal | undefined, root: string): void {
  if (signal?.aborted === true) throw aborted(root);
}
