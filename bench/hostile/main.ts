/**
 * What hostile clients can make the bundled broker and the readers of messages hold or do: sockets that announce huge
 * packets before they are authenticated, mutated packets beside a good client, mutated messages and frames.
 *
 *   node dist/bench/hostile/main.js --packets 100000 --payloads 100000
 *
 * One JSON line per attack on stdout; exit status 1 when an aim is missed.
 */
import { parseArgs } from "node:util";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import { floodBeforeConnect, mutatedPackets, mutatedPayloads } from "./attacks.ts";
import { BrokerProcess } from "./broker-process.ts";
import { packetSeeds } from "./mqtt-packets.ts";

const { values: args } = parseArgs({
  options: {
    sockets: { type: "string", default: "10" },
    mebibytes: { type: "string", default: "24" },
    packets: { type: "string", default: "100000" },
    payloads: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
  },
});

const MIB = 1024 * 1024;
/** What may be held more before authentication, and once everything bounded is full. */
const [MAX_FLOOD_BYTES, MAX_GROWTH_BYTES] = [2 * MIB, 16 * MIB];
/** Mutated packets come by many connections of one address. */
const CONFIG = new URL("../../../bench/hostile/broker.json", import.meta.url).pathname;

function report(attack: string, ok: boolean, figures: object): void {
  process.stdout.write(`${JSON.stringify({ attack, ok, ...figures })}\n`);
  if (!ok) process.exitCode = 1;
}

const broker = await BrokerProcess.start(["--config", CONFIG]);
const good = await mqttTransportFactory({
  url: `mqtt://127.0.0.1:${broker.port}`,
  clock: systemClock,
  rng: Rng.fromSeed(1),
}).connect({ clientId: "good", clean: true, keepaliveSeconds: 30 });
let [sent, arrived] = [0, 0];
await good.subscribe("alive", () => arrived++);
const pulse = setInterval(() => {
  sent += 1;
  void good.publish("alive", Uint8Array.of(1), { qos: 1, retain: false }).catch(() => undefined);
}, 100);

const flood = await floodBeforeConnect(broker, Number(args.sockets), Number(args.mebibytes) * MIB);
const isHeld = flood.ended === flood.sockets && flood.grownBytes < MAX_FLOOD_BYTES;
report("claimed sizes before CONNECT", isHeld, flood);

const half = Number(args.packets) / 2;
const first = await mutatedPackets(broker, packetSeeds(), half, `${args.seed}/1`);
const second = await mutatedPackets(broker, packetSeeds(), half, `${args.seed}/2`);
clearInterval(pulse);
const settled = performance.now() + 5000;
while (arrived < sent && performance.now() < settled) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}
const isBounded = second.grownBytes < MAX_GROWTH_BYTES;
report("mutated packets", !broker.isOver && arrived === sent && isBounded, {
  packets: first.packets + second.packets,
  connections: first.connections + second.connections,
  grownBytesFirstHalf: first.grownBytes,
  grownBytesSecondHalf: second.grownBytes,
  goodSent: sent,
  goodArrived: arrived,
});
await good.close();
await broker.stop();

const payloads = mutatedPayloads(Number(args.payloads), args.seed);
report("mutated messages", payloads.grownBytes < MAX_GROWTH_BYTES, payloads);
