/** A client of MQTT 3.1.1 that does only what a test tells it: it sends no pings and can leave messages unacknowledged. */
import { type Socket, connect } from "node:net";
import { publishPacket } from "../../bench/hostile/mqtt-packets.ts";
import { eventually } from "./eventually.ts";

export interface SessionOptions {
  readonly clientId: string;
  readonly clean?: boolean;
  readonly keepaliveSeconds?: number;
  readonly will?: { readonly topic: string; readonly payload: string };
}

export interface Arrival {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly duplicate: boolean;
}

const [PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP] = [3, 4, 5, 6, 7];

export class MqttSession {
  readonly arrivals: Arrival[] = [];
  /** Return codes of SUBACKs, in order. */
  readonly granted: number[] = [];
  /** Bytes of CONNACK behind its header: session present, return code. */
  connack: readonly [number, number] | undefined;
  isClosed = false;
  /** While true, nothing that arrives is acknowledged or recorded. */
  isDeaf = false;
  readonly #socket: Socket;
  readonly #finished: number[] = [];
  #received = Buffer.alloc(0);
  #nextId = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#onBytes(chunk));
    socket.on("close", () => (this.isClosed = true));
    socket.on("error", () => undefined);
  }

  /** Resolves with CONNACK or with the end of the connection. */
  static async open(port: number, options: SessionOptions): Promise<MqttSession> {
    const session = new MqttSession(connect(port, "127.0.0.1"));
    session.send(connectBytes(options));
    await eventually("CONNACK or the end", () => session.isClosed || session.connack !== undefined);
    return session;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Resolves with the SUBACK. */
  async subscribe(...filters: readonly (readonly [string, number])[]): Promise<void> {
    const wanted = this.granted.length + filters.length;
    const entries = filters.map(([filter, qos]) => Buffer.concat([text(filter), Buffer.of(qos)]));
    this.send(packet(0x82, this.#id(), ...entries));
    await eventually("SUBACK", () => this.granted.length === wanted);
  }

  /** Resolves with the UNSUBACK. */
  async unsubscribe(filter: string): Promise<void> {
    const wanted = this.#finished.length + 1;
    this.send(packet(0xa2, this.#id(), text(filter)));
    await eventually("UNSUBACK", () => this.#finished.length === wanted);
  }

  /** Resolves when the handshake of its QoS is over. */
  async publish(topic: string, payload: string, qos: number, retain = false): Promise<void> {
    const wanted = this.#finished.length + (qos === 0 ? 0 : 1);
    this.send(publishPacket(topic, Buffer.from(payload), (qos << 1) | (retain ? 1 : 0)));
    await eventually("the handshake", () => this.#finished.length === wanted);
  }

  /** Ends in order, which discards the will. */
  async close(): Promise<void> {
    this.#socket.end(Buffer.of(0xe0, 0));
    await eventually("the end", () => this.isClosed);
  }

  /** Ends as a machine does that loses power. */
  destroy(): void {
    this.#socket.destroy();
  }

  #id(): Buffer {
    this.#nextId += 1;
    return Buffer.of(this.#nextId >> 8, this.#nextId & 255);
  }

  #onBytes(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    // Packets of these tests are shorter than 128 bytes, so one byte says how long.
    while (this.#received.byteLength >= 2) {
      const end = 2 + (this.#received[1] ?? 0);
      if (this.#received.byteLength < end) return;
      const [first = 0] = this.#received;
      const body = this.#received.subarray(2, end);
      this.#received = this.#received.subarray(end);
      this.#onPacket(first, body);
    }
  }

  #onPacket(first: number, body: Buffer): void {
    const type = first >> 4;
    if (type === 2) this.connack = [body[0] ?? 0, body[1] ?? 0];
    else if (type === 9) this.granted.push(...body.subarray(2));
    else if (type === PUBACK || type === PUBCOMP || type === 11) {
      this.#finished.push(body.readUInt16BE(0));
    } else if (this.isDeaf) return;
    else if (type === PUBLISH) this.#onPublish(first, body);
    else if (type === PUBREC) this.#answer(0x62, body);
    else if (type === PUBREL) this.#answer(0x70, body);
  }

  #onPublish(first: number, body: Buffer): void {
    const nameEnd = 2 + body.readUInt16BE(0);
    const qos = (first >> 1) & 3;
    this.arrivals.push({
      topic: body.subarray(2, nameEnd).toString(),
      payload: body.subarray(nameEnd + (qos === 0 ? 0 : 2)).toString(),
      qos,
      retain: (first & 1) === 1,
      duplicate: (first & 8) === 8,
    });
    if (qos > 0) this.#answer(qos === 1 ? 0x40 : 0x50, body.subarray(nameEnd));
  }

  #answer(first: number, idFirst: Buffer): void {
    this.send(packet(first, idFirst.subarray(0, 2)));
  }
}

/** CONNECT; with `protocolName` other than MQTT one that has to be refused. */
export function connectBytes(options: SessionOptions, protocolName = "MQTT"): Buffer {
  const { clientId, clean = true, keepaliveSeconds = 0, will } = options;
  const flags = (clean ? 2 : 0) | (will === undefined ? 0 : 4);
  const head = Buffer.of(4, flags, keepaliveSeconds >> 8, keepaliveSeconds & 255);
  const wills = will === undefined ? [] : [text(will.topic), text(will.payload)];
  return packet(0x10, text(protocolName), head, text(clientId), ...wills);
}

function packet(first: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.of(first, body.byteLength), body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.of(bytes.byteLength >> 8, bytes.byteLength & 255), bytes]);
}
