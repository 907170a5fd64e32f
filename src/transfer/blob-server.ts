/** Answers requests for ranges of blobs: bounded per peer, in turn between peers, without state once it is idle. */
import type { Frame } from "../protocol/frame.ts";
import { encodeFrame } from "../protocol/frame.ts";
import type { BlobStore } from "./blob-store.ts";

type Request = Extract<Frame, { type: "request" }>;

export interface BlobServerOptions {
  readonly store: BlobStore;
  /** Which blobs a peer may see; the others are unknown to it. */
  readonly mayRead: (peer: string, root: string) => boolean;
  readonly reply: (peer: string, frame: Uint8Array) => Promise<void>;
}

export interface BlobServerStats {
  /** Payload bytes handed to the link. */
  readonly servedBytes: number;
  /** Requests dropped since their peer or the server had too many; the peer asks again. */
  readonly dropped: number;
}

/** Requests waiting per peer, a few full windows; a request is about 60 bytes. */
const MAX_QUEUED_PER_PEER = 64;
const MAX_PEERS = 4096;
/** Answers being read or sent at once: at most 2 MiB of payload in memory. */
const MAX_ACTIVE = 32;

export class BlobServer {
  readonly #options: BlobServerOptions;
  /** Peers with requests, the longest waiting first; Map keeps insertion order. */
  readonly #queues = new Map<string, Request[]>();
  readonly #busy = new Set<string>();
  #servedBytes = 0;
  #dropped = 0;
  #closed = false;

  constructor(options: BlobServerOptions) {
    this.#options = options;
  }

  get stats(): BlobServerStats {
    return { servedBytes: this.#servedBytes, dropped: this.#dropped };
  }

  /** Queues a request; one that is already waiting counts once. */
  onRequest(peer: string, request: Request): void {
    if (this.#closed) return;
    const queue = this.#queues.get(peer) ?? [];
    if (queue.some(({ requestId }) => requestId === request.requestId)) return;
    if (queue.length >= MAX_QUEUED_PER_PEER || this.#queues.size >= MAX_PEERS) {
      this.#dropped += 1;
      return;
    }
    queue.push(request);
    this.#queues.set(peer, queue);
    this.#next();
  }

  /** Forgets what waits; answers under way end by themselves. */
  close(): void {
    this.#closed = true;
    this.#queues.clear();
  }

  /** Starts answers while there is room: one at a time per peer, so equal shares of a shared link. */
  #next(): void {
    for (const [peer, queue] of this.#queues) {
      if (this.#busy.size >= MAX_ACTIVE) return;
      if (this.#busy.has(peer)) continue;
      const request = queue.shift();
      this.#queues.delete(peer);
      if (queue.length > 0) this.#queues.set(peer, queue);
      if (request === undefined) continue;
      this.#busy.add(peer);
      void this.#answer(peer, request).then(() => {
        this.#busy.delete(peer);
        this.#next();
      });
    }
  }

  async #answer(peer: string, request: Request): Promise<void> {
    try {
      const frame = await this.#frameFor(peer, request);
      await this.#options.reply(peer, encodeFrame(frame));
      if (frame.type === "range") this.#servedBytes += frame.lengthBytes;
    } catch {
      // A disk that fails or a link that dropped: the peer asks again, and again, and gives up by its own rule.
      this.#dropped += 1;
    }
  }

  async #frameFor(peer: string, request: Request): Promise<Frame> {
    const { store, mayRead } = this.#options;
    const { root, part, offsetBytes, lengthBytes } = request;
    if (!mayRead(peer, root)) return { ...request, type: "refusal", reason: "unknown" };
    const payload =
      part === "content"
        ? await store.read(root, offsetBytes, lengthBytes)
        : (await store.manifest(root))?.encoded.slice(offsetBytes, offsetBytes + lengthBytes);
    if (payload?.byteLength === lengthBytes) return { ...request, type: "range", payload };
    const reason = (await store.has(root)) ? "out-of-range" : "unknown";
    return { ...request, type: "refusal", reason };
  }
}
