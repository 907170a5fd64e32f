/** A proxy that treats its clients as a hosted broker does: ends the connection of who goes beyond a documented limit. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

export interface BrokerProfile {
  /** Largest packet, header included. */
  readonly maxPacketBytes: number;
  readonly maxQos: number;
  /** Slashes in a topic or filter. */
  readonly maxSlashes: number;
  readonly maxFiltersPerSubscribe: number;
  readonly maxClientIdBytes: number;
}

/** AWS IoT Core, "Message broker and protocol limits and quotas": a payload of 128 KB; the topic is spared here. */
export const awsIotCore: BrokerProfile = {
  maxPacketBytes: 128 * 1024,
  maxQos: 1,
  maxSlashes: 7,
  maxFiltersPerSubscribe: 8,
  maxClientIdBytes: 128,
};

/** EMQX 5 as it comes: `mqtt.max_packet_size` 1MB, `mqtt.max_topic_levels` 128. */
export const emqx: BrokerProfile = {
  maxPacketBytes: 1024 * 1024,
  maxQos: 2,
  maxSlashes: 127,
  maxFiltersPerSubscribe: Infinity,
  maxClientIdBytes: 65_535,
};

export interface ProfileProxy {
  readonly port: number;
  /** Why connections were ended, in order. */
  readonly refused: readonly string[];
  /** Largest packet that passed, in either direction. */
  readonly largestBytes: number;
  close(): Promise<void>;
}

/** Stands before the broker at `targetPort` of 127.0.0.1. */
export async function startProfileProxy(
  targetPort: number,
  profile: BrokerProfile,
): Promise<ProfileProxy> {
  const sockets = new Set<Socket>();
  const refused: string[] = [];
  let largestBytes = 0;
  const server = createServer((client) => {
    const target = connect(targetPort, "127.0.0.1");
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        to.destroy();
      });
      const packets = new PacketReader((packet) => {
        const complaint = from === client ? complaintAbout(packet, profile) : undefined;
        if (complaint !== undefined) refused.push(complaint);
        largestBytes = Math.max(largestBytes, packet.byteLength);
        if (complaint === undefined) to.write(packet);
        return complaint === undefined;
      }, profile.maxPacketBytes);
      from.on("data", (chunk: Buffer) => {
        const ending = packets.push(chunk);
        if (ending === undefined) return;
        if (ending === "size") refused.push(`packet of more than ${profile.maxPacketBytes} bytes`);
        client.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    refused,
    get largestBytes() {
      return largestBytes;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Cuts a stream of bytes into MQTT packets. */
class PacketReader {
  readonly #onPacket: (packet: Buffer) => boolean;
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);

  constructor(onPacket: (packet: Buffer) => boolean, maxBytes: number) {
    this.#onPacket = onPacket;
    this.#maxBytes = maxBytes;
  }

  /** Says why the connection has to end: a packet is too large, or `onPacket` does not want it. */
  push(chunk: Buffer): "size" | "unwanted" | undefined {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const bytes = packetBytesOf(this.#rest);
      if (bytes === undefined) return undefined;
      if (bytes > this.#maxBytes) return "size";
      if (this.#rest.byteLength < bytes) return undefined;
      const packet = this.#rest.subarray(0, bytes);
      this.#rest = this.#rest.subarray(bytes);
      if (!this.#onPacket(packet)) return "unwanted";
    }
  }
}

/** Bytes of the packet that begins here; undefined while its header is not complete. */
function packetBytesOf(bytes: Buffer): number | undefined {
  let length = 0;
  for (let i = 1; i < bytes.byteLength && i <= 4; i++) {
    const byte = bytes[i] ?? 0;
    length += (byte & 127) * 128 ** (i - 1);
    if (byte < 128) return 1 + i + length;
  }
  return undefined;
}

const [CONNECT, PUBLISH, SUBSCRIBE] = [1, 3, 8];

function complaintAbout(packet: Buffer, profile: BrokerProfile): string | undefined {
  const type = (packet[0] ?? 0) >> 4;
  let place = 1;
  while ((packet[place] ?? 0) >= 128) place += 1;
  place += 1;
  const text = (at: number): string =>
    packet.toString("utf8", at + 2, at + 2 + packet.readUInt16BE(at));
  const slashes = (topic: string): number => topic.split("/").length - 1;
  if (type === CONNECT) {
    // Behind the protocol's name and level, the flags and the keepalive.
    const idBytes = packet.readUInt16BE(place + 10);
    return idBytes > profile.maxClientIdBytes ? `client id of ${idBytes} bytes` : undefined;
  }
  if (type === PUBLISH) {
    const qos = ((packet[0] ?? 0) >> 1) & 3;
    if (qos > profile.maxQos) return `QoS ${qos}`;
    const topic = text(place);
    return slashes(topic) > profile.maxSlashes ? `topic ${topic}` : undefined;
  }
  if (type !== SUBSCRIBE) return undefined;
  const filters: string[] = [];
  for (let at = place + 2; at < packet.byteLength; at += 3 + packet.readUInt16BE(at)) {
    filters.push(text(at));
  }
  if (filters.length > profile.maxFiltersPerSubscribe) return `${filters.length} filters at once`;
  const deep = filters.find((filter) => slashes(filter) > profile.maxSlashes);
  return deep === undefined ? undefined : `filter ${deep}`;
}
