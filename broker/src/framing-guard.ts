/** Watches the packet boundaries of one connection and stops what is too large before the MQTT parser collects it. */

export type FramingVerdict = "ok" | "not-connect" | "packet-too-large" | "malformed-length";

export interface FramingLimits {
  readonly maxConnectBytes: number;
  readonly maxPacketBytes: number;
}

/** Packet type of CONNECT in the upper half of the first byte (MQTT 3.1.1, table 2.1). */
const CONNECT = 1;
const MAX_LENGTH_BYTES = 4;

/** Reads fixed headers only and keeps no payload: a handful of numbers per connection. */
export class FramingGuard {
  readonly #limits: FramingLimits;
  #authenticated = false;
  #first = true;
  /** Bytes of the current packet that are still to come; 0 means that a header is next. */
  #restBytes = 0;
  /** Bytes of the current header seen so far; the type byte is one of them. */
  #headerBytes = 0;
  #length = 0;
  #numPackets = 0;

  constructor(limits: FramingLimits) {
    this.#limits = limits;
  }

  /** From now on the limit of connected clients applies. */
  authenticate(): void {
    this.#authenticated = true;
  }

  /** Packets whose header is complete, since the start. */
  get numPackets(): number {
    return this.#numPackets;
  }

  /** Follows the next bytes of the stream; anything but "ok" means that the connection must end. */
  inspect(bytes: Uint8Array): FramingVerdict {
    let place = 0;
    while (place < bytes.byteLength) {
      if (this.#restBytes > 0) {
        const step = Math.min(this.#restBytes, bytes.byteLength - place);
        this.#restBytes -= step;
        place += step;
        continue;
      }
      const verdict = this.#header(bytes[place] ?? 0);
      if (verdict !== "ok") return verdict;
      place += 1;
    }
    return "ok";
  }

  #header(byte: number): FramingVerdict {
    if (this.#headerBytes === 0) {
      if (this.#first && byte >> 4 !== CONNECT) return "not-connect";
      this.#first = false;
      this.#headerBytes = 1;
      this.#length = 0;
      return "ok";
    }
    this.#length += (byte & 127) * 128 ** (this.#headerBytes - 1);
    const more = byte >= 128;
    if (more && this.#headerBytes === MAX_LENGTH_BYTES) return "malformed-length";
    this.#headerBytes += 1;
    if (more) return "ok";
    const packetBytes = this.#headerBytes + this.#length;
    const { maxConnectBytes, maxPacketBytes } = this.#limits;
    if (packetBytes > (this.#authenticated ? maxPacketBytes : maxConnectBytes)) {
      return "packet-too-large";
    }
    this.#numPackets += 1;
    this.#headerBytes = 0;
    this.#restBytes = this.#length;
    return "ok";
  }
}
