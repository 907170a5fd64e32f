/** The attacks of the hostile bench in short, against a broker in a process of its own. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  floodBeforeConnect,
  mutatedPackets,
  mutatedPayloads,
} from "../../../bench/hostile/attacks.ts";
import { BrokerProcess } from "../../../bench/hostile/broker-process.ts";
import { connectPacket, packetSeeds, rawConnection } from "../../../bench/hostile/mqtt-packets.ts";
import { eventually } from "../../support/eventually.ts";

const MIB = 1024 * 1024;

test("ten sockets that pour 24 MiB each before authentication leave the broker as small as it was", async (t) => {
  const broker = await BrokerProcess.start([]);
  t.after(() => broker.stop());
  const { ended, grownBytes } = await floodBeforeConnect(broker, 10, 24 * MIB);
  assert.equal(ended, 10);
  if (broker.residentBytes() === 0) t.diagnostic("memory is not measured without /proc");
  assert.ok(grownBytes < 2 * MIB, `${grownBytes} bytes`);
});

test("two thousand mutated packets end neither the broker nor its service", async (t) => {
  const broker = await BrokerProcess.start([]);
  t.after(() => broker.stop());
  const { packets, grownBytes } = await mutatedPackets(broker, packetSeeds(), 2000, "short");
  assert.equal(packets, 2000);
  assert.ok(!broker.isOver);
  assert.ok(grownBytes < 64 * MIB, `${grownBytes} bytes`);
  const { socket, bytes } = await rawConnection(broker.port);
  socket.write(connectPacket("after"));
  await eventually("CONNACK", () => bytes().byteLength === 4);
  assert.deepEqual([...bytes()], [0x20, 2, 0, 0]);
  socket.destroy();
});

test("ten thousand mutated messages, frames, manifests and seals are refused or read, and hold nothing", () => {
  const { payloads, accepted, grownBytes } = mutatedPayloads(10_000, "short");
  assert.equal(payloads, 10_000);
  assert.ok(accepted < payloads / 2);
  assert.ok(grownBytes < 64 * MIB, `${grownBytes} bytes`);
});
