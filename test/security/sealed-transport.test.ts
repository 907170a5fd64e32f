/** Sealed connections over the in-process broker: what gets through, and what forgers, replayers and strangers achieve. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../../src/base/clock.ts";
import { TransportError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { MessageStamp } from "../../src/protocol/message-stamp.ts";
import { fleetTopics } from "../../src/protocol/topics.ts";
import type { MessageSeal, Refused } from "../../src/security/sealed-transport.ts";
import { MemoryBroker } from "../../src/transport/memory.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { must } from "../support/must.ts";
import { SealedFleet } from "../support/sealed-fleet.ts";

const topics = fleetTopics("plant");
const own = topics.device("a");
const clock = new ManualClock(1_700_000_000_000);

interface Party {
  readonly transport: Transport;
  readonly heard: string[];
  readonly refused: Refused[];
}

class Site {
  readonly broker = new MemoryBroker({ clock, rng: Rng.fromSeed(1) });
  readonly fleet = new SealedFleet();
  /** Everything that has crossed the broker. */
  readonly tape: { topic: string; payload: Uint8Array }[] = [];
  readonly stamp = new MessageStamp(clock, Rng.fromSeed("stamp"));
  #serial = 0;

  async tap(): Promise<Transport> {
    const tap = await this.broker.connect(this.#plain("tap"));
    await tap.subscribe("#", (topic, payload) => this.tape.push({ topic, payload }));
    return tap;
  }

  async party(seal: MessageSeal, filters: readonly string[]): Promise<Party> {
    const [heard, refused]: [string[], Refused[]] = [[], []];
    const factory = seal.wrap(this.broker, (one) => refused.push(one));
    const transport = await factory.connect(this.#plain(`client-${++this.#serial}`));
    for (const filter of filters) {
      await transport.subscribe(filter, (_, payload) =>
        heard.push(Buffer.from(payload).toString()),
      );
    }
    return { transport, heard, refused };
  }

  coordinator(): Promise<Party> {
    return this.party(this.fleet.coordinator(), [topics.everyDevice("evt"), topics.epoch]);
  }

  device(keys = this.fleet.keysOf("a")): Promise<Party> {
    return this.party(this.fleet.device("a", keys), [own.cmd, topics.epoch]);
  }

  announcement(epoch: number): Uint8Array {
    const address = { device: "plant", epoch, round: 0 };
    return this.stamp.encode({ kind: "epoch", boot: "b", status: "here" }, address);
  }

  event(epoch: number): Uint8Array {
    const message = { kind: "bye", reason: "test" } as const;
    return this.stamp.encode(message, { device: "a", epoch, round: 0 });
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) {
      await turn();
      clock.advance(1);
    }
  }

  #plain(clientId: string) {
    return { clientId, clean: true, keepaliveSeconds: 30 };
  }
}

const once = { qos: 1, retain: false } as const;
const kept = { qos: 1, retain: true } as const;
const reasons = ({ refused }: Party): string[] => refused.map(({ reason }) => reason);

/** Both ends know each other. */
async function greeted(site: Site): Promise<{ coordinator: Party; device: Party }> {
  const coordinator = await site.coordinator();
  await coordinator.transport.publish(topics.epoch, site.announcement(1), kept);
  const device = await site.device();
  await site.settle();
  await device.transport.publish(own.evt, site.event(1), once);
  await site.settle();
  return { coordinator, device };
}

test("announcement, event and command get through, and carry what was said", async () => {
  const site = new Site();
  const { coordinator, device } = await greeted(site);
  const command = site.announcement(5);
  await coordinator.transport.publish(own.cmd, command, once);
  await site.settle();
  assert.equal(device.heard.length, 2);
  assert.equal(device.heard[1], Buffer.from(command).toString());
  assert.match(coordinator.heard.join(), /"bye"/);
  assert.deepEqual([...reasons(coordinator), ...reasons(device)], []);
});

test("nobody speaks before it has heard whom it speaks to", async () => {
  const site = new Site();
  const device = await site.device();
  await assert.rejects(device.transport.publish(own.evt, site.event(0), once), TransportError);
  const coordinator = await site.coordinator();
  const command = coordinator.transport.publish(own.cmd, site.event(0), once);
  await assert.rejects(command, TransportError);
});

test("messages without a seal, of strangers, and of revoked devices are refused by reason", async () => {
  const site = new Site();
  const { coordinator, device } = await greeted(site);
  const stranger = await site.broker.connect({
    clientId: "stranger",
    clean: true,
    keepaliveSeconds: 30,
  });
  await stranger.publish(own.cmd, site.announcement(9), once);
  await stranger.publish(topics.epoch, site.announcement(9), once);
  await stranger.publish(own.evt, site.event(1), once);
  await stranger.publish(topics.device("unknown").evt, site.event(1), once);
  await site.settle();
  assert.deepEqual(reasons(device), ["unsealed", "unsealed"]);
  assert.deepEqual(reasons(coordinator), ["unsealed", "unsealed", "unsealed"]);
  const impostor = await site.party(site.fleet.device("a", new SealedFleet().keysOf("a")), [
    topics.epoch,
  ]);
  await site.settle();
  await impostor.transport.publish(own.evt, site.event(1), once);
  await site.settle();
  site.fleet.revoke("a");
  await device.transport.publish(own.evt, site.event(1), once);
  await site.settle();
  assert.deepEqual(reasons(coordinator).slice(3), ["bad-signature", "unknown-key"]);
  assert.equal(coordinator.heard.filter((text) => text.includes('"bye"')).length, 1);
});

test("what is recorded and played again is refused, also after restarts of either end", async () => {
  const site = new Site();
  const tap = await site.tap();
  const { coordinator, device } = await greeted(site);
  await coordinator.transport.publish(own.cmd, site.announcement(5), once);
  await site.settle();
  const recorded = [...site.tape];
  const replay = async (): Promise<void> => {
    for (const { topic, payload } of recorded) await tap.publish(topic, payload, once);
    await site.settle();
  };
  const heardBefore = [coordinator.heard.length, device.heard.length];
  await replay();
  assert.deepEqual(reasons(device), ["replayed"]);
  assert.deepEqual(reasons(coordinator), ["replayed"]);
  // The announcement of the present incarnation may be heard twice: it says nothing new.
  assert.deepEqual(
    [coordinator.heard.length, device.heard.length],
    [must(heardBefore[0]) + 1, must(heardBefore[1]) + 1],
  );
  const reborn = await site.device();
  const successor = await site.coordinator();
  await successor.transport.publish(topics.epoch, site.announcement(2), kept);
  await site.settle();
  const before = [reborn.heard.length, successor.heard.length];
  await replay();
  assert.deepEqual(reasons(reborn), ["replayed", "wrong-session"]);
  assert.deepEqual(reasons(successor), ["wrong-session"]);
  assert.equal(successor.refused[0]?.epoch, 1);
  assert.deepEqual([reborn.heard.length, successor.heard.length - 1], before);
});

test("a message that is moved to another topic is refused", async () => {
  const site = new Site();
  const tap = await site.tap();
  site.fleet.keysOf("b");
  const { coordinator, device } = await greeted(site);
  await coordinator.transport.publish(own.cmd, site.announcement(5), once);
  await site.settle();
  const find = (topic: string): Uint8Array =>
    must(site.tape.findLast((message) => message.topic === topic)).payload;
  await tap.publish(topics.epoch, find(own.cmd), once);
  await tap.publish(topics.device("b").evt, find(own.evt), once);
  await site.settle();
  assert.deepEqual(reasons(device), ["bad-signature"]);
  assert.deepEqual(reasons(coordinator).sort(), ["bad-signature", "bad-signature"]);
});

test("an older incarnation is not believed, a will of this one is", async () => {
  const site = new Site();
  const coordinator = await site.coordinator();
  await coordinator.transport.publish(topics.epoch, site.announcement(7), kept);
  const device = await site.device();
  await site.settle();
  const older = await site.coordinator();
  await older.transport.publish(topics.epoch, site.announcement(3), once);
  await site.settle();
  assert.deepEqual(reasons(device), ["replayed"]);
  await older.transport.publish(topics.epoch, site.announcement(8), once);
  await site.settle();
  assert.equal(device.heard.length, 2);
});
