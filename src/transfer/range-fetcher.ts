/** Fetches pieces of a blob range by range: a window of requests, repetition, verification, no more than that. */
import type { Clock, Timer } from "../base/clock.ts";
import { TransportError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { BlobPart, Frame } from "../protocol/frame.ts";
import { encodeFrame } from "../protocol/frame.ts";
import { LEAF_BYTES } from "../protocol/manifest.ts";
import { FlowControl, MAX_WINDOW_BYTES } from "./flow-control.ts";

/** A stretch of a blob that can be verified on its own: a leaf, or the manifest. */
export interface Piece {
  readonly part: BlobPart;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Verifies and keeps the bytes; false when they are wrong and have to be fetched again. */
  accept(bytes: Uint8Array): Promise<boolean>;
}

export interface RangeFetcherOptions {
  readonly root: string;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Sends a request; a rejection counts as a loss. */
  readonly send: (frame: Uint8Array) => Promise<void>;
  /** Without any useful range for so long the fetch fails. */
  readonly idleTimeoutMs: number;
}

/** A piece that is wrong this often comes from a peer that cannot be right. */
const MAX_WRONG = 16;
/** Pieces in memory at once: the window, and those that are being verified and written. */
const MAX_OPEN_PIECES = MAX_WINDOW_BYTES / LEAF_BYTES + 2;

interface OpenPiece {
  readonly piece: Piece;
  readonly buffer: Uint8Array;
  askedBytes: number;
  receivedBytes: number;
  wrong: number;
}

interface Outstanding {
  readonly open: OpenPiece;
  readonly request: Extract<Frame, { type: "request" }>;
  sentAtMs: number;
  attempt: number;
  timer: Timer;
}

/** One fetcher per pull; `fetch` is called for the manifest, then for the leaves, so what it learns of the link lasts. */
export class RangeFetcher {
  readonly #options: RangeFetcherOptions;
  readonly #flow: FlowControl;
  readonly #outstanding = new Map<number, Outstanding>();
  #open: OpenPiece[] = [];
  #pieces: Iterator<Piece> = [][Symbol.iterator]();
  #nextId: number;
  #flyingBytes = 0;
  /** When a loss last shrank the window; requests older than that belong to the same loss. */
  #lossAtMs = -Infinity;
  #idle: Timer | undefined;
  #settle: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #aborted: { readonly error: Error } | undefined;
  #receivedBytes = 0;
  #wastedBytes = 0;

  constructor(options: RangeFetcherOptions) {
    this.#options = options;
    this.#flow = new FlowControl(options.rng);
    this.#nextId = options.rng.nextUint32();
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get wastedBytes(): number {
    return this.#wastedBytes;
  }

  /** Resolves when every piece is accepted; rejects with TransportError when that cannot be, or with what `accept` throws. */
  fetch(pieces: Iterable<Piece>): Promise<void> {
    if (this.#aborted !== undefined) return Promise.reject(this.#aborted.error);
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#pieces = pieces[Symbol.iterator]();
      this.#watchIdle();
      this.#pump();
    });
  }

  /** Ends this fetch and any later one; what was accepted stays accepted. */
  abort(error: Error): void {
    this.#aborted ??= { error };
    this.#finish();
    this.#settle?.reject(error);
    this.#settle = undefined;
  }

  /** Takes an answer of the peer; anything that was not asked for is counted and dropped. */
  onFrame(frame: Frame): void {
    if (frame.type === "request") return;
    const asked = this.#outstanding.get(frame.requestId);
    const payload = frame.type === "range" ? frame.payload : new Uint8Array(0);
    this.#receivedBytes += payload.byteLength;
    if (asked === undefined || !answers(frame, asked.request)) {
      this.#wastedBytes += payload.byteLength;
      return;
    }
    if (frame.type === "refusal") {
      const { root } = frame;
      this.abort(new TransportError("the other end refuses the blob", { got: frame.reason, root }));
      return;
    }
    this.#forget(frame.requestId, asked);
    if (asked.attempt === 0) {
      this.#flow.onRange(payload.byteLength, this.#options.clock.nowMs() - asked.sentAtMs);
    }
    const { open } = asked;
    open.buffer.set(payload, frame.offsetBytes - open.piece.offsetBytes);
    open.receivedBytes += payload.byteLength;
    this.#watchIdle();
    if (open.receivedBytes === open.piece.lengthBytes) void this.#verify(open);
    this.#pump();
  }

  /** The link is back: what was under way is lost, so it is asked for again at once. */
  onReconnect(): void {
    for (const asked of this.#outstanding.values()) this.#send(asked, 1);
  }

  async #verify(open: OpenPiece): Promise<void> {
    try {
      const good = await open.piece.accept(open.buffer);
      if (this.#settle === undefined) return;
      if (good) {
        this.#open = this.#open.filter((other) => other !== open);
      } else {
        this.#wastedBytes += open.piece.lengthBytes;
        open.wrong += 1;
        if (open.wrong >= MAX_WRONG) throw this.#alwaysWrong();
        open.askedBytes = 0;
        open.receivedBytes = 0;
      }
      this.#pump();
    } catch (cause) {
      const { root } = this.#options;
      const failure = new TransportError("a part of the blob cannot be kept", { cause, root });
      this.abort(cause instanceof Error ? cause : failure);
    }
  }

  /** Asks for as much as the window allows. */
  #pump(): void {
    while (this.#settle !== undefined) {
      const open = this.#pieceToAsk();
      if (open === undefined) break;
      const { part, offsetBytes, lengthBytes } = open.piece;
      const bytes = Math.min(this.#flow.rangeBytes, lengthBytes - open.askedBytes);
      if (this.#flyingBytes > 0 && this.#flyingBytes + bytes > this.#flow.windowBytes) break;
      this.#nextId = (this.#nextId + 1) >>> 0;
      const request = {
        type: "request",
        requestId: this.#nextId,
        root: this.#options.root,
        part,
        offsetBytes: offsetBytes + open.askedBytes,
        lengthBytes: bytes,
      } as const;
      open.askedBytes += bytes;
      this.#flyingBytes += bytes;
      const noTimer = { cancel: () => {} };
      const asked: Outstanding = { open, request, sentAtMs: 0, attempt: 0, timer: noTimer };
      this.#outstanding.set(request.requestId, asked);
      this.#send(asked, 0);
    }
    if (this.#settle !== undefined && this.#open.length === 0) {
      this.#finish();
      this.#settle.resolve();
      this.#settle = undefined;
    }
  }

  #pieceToAsk(): OpenPiece | undefined {
    const begun = this.#open.find(({ askedBytes, piece }) => askedBytes < piece.lengthBytes);
    if (begun !== undefined || this.#open.length >= MAX_OPEN_PIECES) return begun;
    const next = this.#pieces.next();
    if (next.done === true) return undefined;
    const buffer = new Uint8Array(next.value.lengthBytes);
    const open = { piece: next.value, buffer, askedBytes: 0, receivedBytes: 0, wrong: 0 };
    this.#open.push(open);
    return open;
  }

  #send(asked: Outstanding, attempt: number): void {
    const { clock, send } = this.#options;
    asked.timer.cancel();
    asked.attempt = attempt;
    asked.sentAtMs = clock.nowMs();
    asked.timer = clock.after(this.#flow.timeoutMs(attempt), () => {
      if (asked.sentAtMs >= this.#lossAtMs) {
        this.#lossAtMs = clock.nowMs();
        this.#flow.onLoss();
      }
      this.#send(asked, attempt + 1);
    });
    // A link that is down answers nothing either: the timer or the reconnect repeats the request.
    send(encodeFrame(asked.request)).catch(() => {});
  }

  #forget(requestId: number, asked: Outstanding): void {
    asked.timer.cancel();
    this.#outstanding.delete(requestId);
    this.#flyingBytes -= asked.request.lengthBytes;
  }

  #watchIdle(): void {
    const { clock, idleTimeoutMs, root } = this.#options;
    this.#idle?.cancel();
    this.#idle = clock.after(idleTimeoutMs, () => {
      this.abort(
        new TransportError("the blob does not arrive", {
          got: `nothing of use for ${idleTimeoutMs} ms`,
          hint: "check that the other end is connected and still has it",
          root,
        }),
      );
    });
  }

  #finish(): void {
    this.#idle?.cancel();
    for (const [id, asked] of [...this.#outstanding]) this.#forget(id, asked);
    this.#open = [];
  }

  #alwaysWrong(): TransportError {
    return new TransportError("the blob arrives damaged again and again", {
      expected: "bytes that match the hash",
      got: `${MAX_WRONG} times other bytes`,
      root: this.#options.root,
    });
  }
}

function answers(frame: Frame, request: Frame): boolean {
  return (
    frame.root === request.root &&
    frame.part === request.part &&
    frame.offsetBytes === request.offsetBytes &&
    frame.lengthBytes === request.lengthBytes
  );
}
