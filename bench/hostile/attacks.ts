/** What hostile clients send: claimed sizes before authentication, mutated packets, mutated messages and frames. */
import { type Socket, connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Rng } from "../../src/base/rng.ts";
import { decodeControl, encodeControl, newMessageId } from "../../src/protocol/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/protocol/frame.ts";
import { decodeManifest, manifestOf } from "../../src/protocol/manifest.ts";
import { readCoordinatorMessage, readDeviceMessage } from "../../src/protocol/messages.ts";
import { PROTOCOL_VERSION } from "../../src/protocol/version.ts";
import { newKeyPair } from "../../src/security/keys.ts";
import { seal, unseal } from "../../src/security/seal.ts";

/** A broker under attack. */
export interface Target {
  readonly port: number;
  residentBytes(): number;
}

export interface FloodResult {
  readonly sockets: number;
  readonly offeredBytes: number;
  /** Connections that the broker has ended. */
  readonly ended: number;
  readonly grownBytes: number;
}

/** Sockets that announce a CONNECT of 200 MiB and send `bytesEach` of it, as far as they are let. */
export async function floodBeforeConnect(
  target: Target,
  sockets: number,
  bytesEach: number,
): Promise<FloodResult> {
  // A first one pays for what any refusal loads and compiles.
  await flood(target.port, bytesEach);
  await sleep(200);
  const before = target.residentBytes();
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, target.residentBytes())), 5);
  const ends = await Promise.all(
    Array.from({ length: sockets }, () => flood(target.port, bytesEach)),
  );
  await sleep(200);
  clearInterval(watch);
  most = Math.max(most, target.residentBytes());
  const ended = ends.filter(Boolean).length;
  return { sockets, offeredBytes: sockets * bytesEach, ended, grownBytes: most - before };
}

/** True when the broker has ended it. */
function flood(port: number, bytes: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const giveUp = setTimeout(() => {
      socket.destroy();
      resolve(false);
    }, 10_000);
    socket.on("error", () => undefined);
    socket.once("close", () => {
      clearTimeout(giveUp);
      resolve(true);
    });
    const chunk = Buffer.alloc(64 * 1024);
    let left = bytes;
    const pour = (): void => {
      while (left > 0 && !socket.destroyed) {
        left -= chunk.byteLength;
        if (!socket.write(chunk)) {
          socket.once("drain", pour);
          return;
        }
      }
    };
    socket.once("connect", () => {
      socket.write(Buffer.from([0x10, 0xff, 0xff, 0xff, 0x63]));
      pour();
    });
  });
}

export interface PacketResult {
  readonly connections: number;
  readonly packets: number;
  readonly grownBytes: number;
}

/** Sends mutated packets, several to a connection, `width` connections at a time. */
export async function mutatedPackets(
  target: Target,
  seeds: readonly Buffer[],
  packets: number,
  seed: string,
): Promise<PacketResult> {
  const rng = Rng.fromSeed(seed);
  const perConnection = 5;
  const width = 20;
  const before = target.residentBytes();
  let most = before;
  let connections = 0;
  for (let sent = 0; sent < packets;) {
    const batch: Promise<void>[] = [];
    for (let i = 0; i < width && sent < packets; i++) {
      const mutants: Buffer[] = [];
      for (let m = 0; m < perConnection && sent < packets; m++, sent++) {
        mutants.push(mutant(rng.pick(seeds), rng));
      }
      connections += 1;
      batch.push(deliver(target.port, Buffer.concat(mutants)));
    }
    await Promise.all(batch);
    most = Math.max(most, target.residentBytes());
  }
  return { connections, packets, grownBytes: most - before };
}

function deliver(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket: Socket = connect(port, "127.0.0.1");
    socket.setTimeout(300, () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("data", () => undefined);
    socket.once("close", () => resolve());
    socket.once("connect", () => socket.end(bytes));
  });
}

export interface DecodeResult {
  readonly payloads: number;
  readonly accepted: number;
  /** Largest growth of heap and buffers over one thousand payloads. */
  readonly grownBytes: number;
}

/** Hands mutated messages, frames, manifests and seals to their readers; a throw ends the bench. */
export function mutatedPayloads(payloads: number, seed: string): DecodeResult {
  const rng = Rng.fromSeed(seed);
  const seeds = payloadSeeds(rng);
  const { root } = manifestOf(new Uint8Array(100));
  let accepted = 0;
  let grownBytes = 0;
  let before = heldBytes();
  for (let i = 0; i < payloads; i++) {
    const payload = mutant(rng.pick(seeds), rng);
    const control = decodeControl(unseal(payload)?.content ?? payload);
    if (control.ok) {
      readDeviceMessage(control.value);
      readCoordinatorMessage(control.value);
    }
    const results = [control, decodeFrame(payload), decodeManifest(payload, root)];
    accepted += results.filter(({ ok }) => ok).length;
    if (i % 1000 !== 999) continue;
    const now = heldBytes();
    grownBytes = Math.max(grownBytes, now - before);
    before = now;
  }
  return { payloads, accepted, grownBytes };
}

function heldBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function payloadSeeds(rng: Rng): Buffer[] {
  const control = encodeControl({
    ...{ v: PROTOCOL_VERSION, t: "offer", id: newMessageId(1.7e12, rng), dev: "gw-1" },
    ...{ epoch: 3, round: 2, seq: 9 },
    body: { round: 2, attempt: 1, root: "a".repeat(64), sizeBytes: 1000 },
  });
  const address = { requestId: 7, root: "b".repeat(64), part: "content", offsetBytes: 0 } as const;
  const keys = newKeyPair("signing");
  const header = { from: "A".repeat(16), serial: 1, to: null };
  return [
    Buffer.from(control),
    Buffer.from(seal(control, "topic", header, keys.privateKey)),
    Buffer.from(encodeFrame({ type: "request", ...address, lengthBytes: 65_536 })),
    Buffer.from(
      encodeFrame({ type: "range", ...address, lengthBytes: 64, payload: new Uint8Array(64) }),
    ),
    Buffer.from(manifestOf(new Uint8Array(200_000)).encoded),
  ];
}

/** A copy with a few bytes changed, and sometimes cut, doubled or grown. */
export function mutant(original: Buffer, rng: Rng): Buffer {
  const kind = rng.int(10);
  let copy = Buffer.from(original);
  if (kind === 0) copy = Buffer.from(copy.subarray(0, rng.int(copy.byteLength + 1)));
  if (kind === 1) copy = Buffer.concat([copy, copy]);
  if (kind === 2) copy = Buffer.concat([copy, Buffer.alloc(rng.int(1000), rng.int(256))]);
  for (let m = 0; m < 1 + rng.int(4) && copy.byteLength > 0; m++) {
    copy[rng.int(copy.byteLength)] = rng.int(256);
  }
  return copy;
}
