/** Raw MQTT 3.1.1 packets, and connections that send what no library would. */
import { type Socket, connect } from "node:net";

/** CONNECT with keepalive 30. */
export function connectPacket(clientId: string, clean = true, protocolLevel = 4): Buffer {
  const id = Buffer.from(clientId);
  const body = Buffer.concat([
    Buffer.from([0, 4, ...Buffer.from("MQTT"), protocolLevel, clean ? 2 : 0, 0, 30]),
    Buffer.from([id.byteLength >> 8, id.byteLength & 255]),
    id,
  ]);
  return Buffer.concat([Buffer.from([0x10, body.byteLength]), body]);
}

/** PUBLISH with at most 127 bytes behind its header; `flags` are the low four bits of the first byte. */
export function publishPacket(topic: string, payload: Uint8Array, flags: number): Buffer {
  const name = Buffer.from(topic);
  const withId = (flags & 6) !== 0;
  const body = Buffer.concat([
    Buffer.from([name.byteLength >> 8, name.byteLength & 255]),
    name,
    Buffer.from(withId ? [0, 1] : []),
    payload,
  ]);
  return Buffer.concat([Buffer.from([0x30 | flags, body.byteLength]), body]);
}

/** SUBSCRIBE to one filter of at most 100 characters. */
export function subscribePacket(filter: string, qos: number): Buffer {
  const name = Buffer.from(filter);
  const head = [0x82, 5 + name.byteLength, 0, 1, 0, name.byteLength];
  return Buffer.concat([Buffer.from(head), name, Buffer.from([qos])]);
}

export interface RawConnection {
  readonly socket: Socket;
  readonly bytes: () => Buffer;
  readonly closed: () => boolean;
}

/** A connection to a port of this machine; `closed` tells whether the other end has ended it. */
export async function rawConnection(port: number): Promise<RawConnection> {
  const socket = connect(port, "127.0.0.1");
  let closed = false;
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("close", () => (closed = true));
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, bytes: () => Buffer.concat(chunks), closed: () => closed };
}

/** Well-formed beginnings of connections for mutation, with names that are special in JavaScript among them. */
export function packetSeeds(): Buffer[] {
  const text = Buffer.from("x");
  return [
    connectPacket("victim"),
    Buffer.concat([connectPacket("__proto__"), publishPacket("a/b", text, 2)]),
    Buffer.concat([connectPacket("constructor", false), subscribePacket("#", 1)]),
    Buffer.concat([connectPacket("deep"), publishPacket("a/".repeat(50), text, 0)]),
    Buffer.concat([connectPacket("keeper", false), publishPacket("r/k", text, 3)]),
    Buffer.concat([
      connectPacket("two"),
      publishPacket("q/2", text, 4),
      publishPacket("q", text, 12),
    ]),
    Buffer.concat([connectPacket("acks"), Buffer.from([0x40, 2, 0, 1, 0x50, 2, 0, 1, 0xc0, 0])]),
    Buffer.concat([connectPacket("v5", true, 5), subscribePacket("$SYS/#", 2)]),
  ];
}
