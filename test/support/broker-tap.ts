/** A broker that hands every message that any client publishes to the test, whatever its topic. */
import type { TestContext } from "node:test";
import { type Broker, startBroker } from "../../broker/src/broker.ts";
import { openPolicy } from "../../broker/src/policy.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";

export interface TappedBroker {
  readonly broker: Broker;
  readonly url: string;
  /** Topic and payload of all messages so far. */
  readonly messages: { readonly topic: string; readonly payload: Buffer }[];
}

/** Everybody may connect; a client of ours subscribes everything. */
export async function tappedBroker(t: TestContext): Promise<TappedBroker> {
  const broker = await startBroker({ port: 0 }, openPolicy(4096));
  t.after(() => broker.close());
  const url = `mqtt://127.0.0.1:${broker.port}`;
  const options = { url, clock: systemClock, rng: Rng.fromSeed("tap") };
  const tap = await mqttTransportFactory(options).connect({
    clientId: "tap",
    clean: true,
    keepaliveSeconds: 60,
  });
  const messages: TappedBroker["messages"] = [];
  await tap.subscribe("#", (topic, payload) => {
    messages.push({ topic, payload: Buffer.from(payload) });
  });
  t.after(() => tap.close());
  return { broker, url, messages };
}
