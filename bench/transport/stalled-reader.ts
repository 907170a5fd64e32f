/** A device that asks for a blob without end and never reads an answer. */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { encodeFrame } from "../../src/protocol/frame.ts";
import { LEAF_BYTES } from "../../src/protocol/manifest.ts";
import type { BlobRef } from "../../src/transfer/blob-store.ts";
import { connectPacket, publishPacket, subscribePacket } from "../hostile/mqtt-packets.ts";
import { topics } from "./ends.ts";

const ASK_EVERY_MS = 4;
const RANGES_PER_TURN = 8;

export class StalledReader {
  readonly #port: number;
  readonly #blob: BlobRef;
  readonly #asking: NodeJS.Timeout;
  #socket: Socket;
  #requestId = 0;
  #closed = false;

  constructor(port: number, blob: BlobRef) {
    this.#port = port;
    this.#blob = blob;
    this.#socket = this.#dial();
    this.#asking = setInterval(() => this.#ask(), ASK_EVERY_MS);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#asking);
    this.#socket.destroy();
  }

  /** Comes back when the broker has ended it. */
  #dial(): Socket {
    const socket = connect(this.#port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (!this.#closed) this.#socket = this.#dial();
    });
    socket.write(connectPacket("stalled"));
    socket.write(subscribePacket(topics.device("stalled").blk, 0));
    socket.pause();
    return socket;
  }

  #ask(): void {
    const { root, sizeBytes } = this.#blob;
    const { get } = topics.device("stalled");
    for (let i = 0; i < RANGES_PER_TURN && this.#socket.writable; i++) {
      this.#requestId += 1;
      const offsetBytes = (this.#requestId * LEAF_BYTES) % (sizeBytes - LEAF_BYTES);
      const address = { requestId: this.#requestId, root, offsetBytes, lengthBytes: LEAF_BYTES };
      const frame = encodeFrame({ type: "request", part: "content", ...address });
      this.#socket.write(publishPacket(get, frame, 0));
    }
  }
}
