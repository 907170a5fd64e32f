/** One conformance suite for every Transport driver: the same behaviour over memory, our broker and a foreign one. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { TransportError } from "../../src/base/errors.ts";
import type { FedspineError } from "../../src/base/errors.ts";
import type { ConnectOptions, Transport, TransportFactory } from "../../src/transport/transport.ts";
import { eventually } from "./eventually.ts";

export interface TransportUnderTest {
  /** Reports handler faults to `faults`. */
  readonly factory: TransportFactory;
  /** Connections made through this one can be cut; they come back within a second. */
  readonly unreliable: TransportFactory;
  readonly faults: FedspineError[];
  /** Cuts the link of one client (or of all those on the unreliable factory). */
  cut(clientId: string): void;
  close(): Promise<void>;
}

interface Received {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** Registers the suite; `skip` is a reason or false. */
export function transportSuite(
  name: string,
  open: () => Promise<TransportUnderTest>,
  skip: string | false = false,
): void {
  let under: TransportUnderTest;
  let serial = 0;
  const opened: Transport[] = [];
  before(async () => {
    if (skip === false) under = await open();
  });
  after(async () => {
    await Promise.all(opened.map((transport) => transport.close()));
    if (skip === false) await under.close();
  });

  const check = (sentence: string, body: () => Promise<void>): void => {
    void test(`${name}: ${sentence}`, { skip }, body);
  };
  const freshId = (): string => `client-${++serial}`;
  const connect = async (
    options: Partial<ConnectOptions> = {},
    factory = under.factory,
  ): Promise<Transport> => {
    const clientId = options.clientId ?? freshId();
    const transport = await factory.connect({
      clean: true,
      keepaliveSeconds: 30,
      ...options,
      clientId,
    });
    opened.push(transport);
    return transport;
  };
  const listen = async (transport: Transport, filter: string): Promise<Received[]> => {
    const received: Received[] = [];
    await transport.subscribe(filter, (topic, payload) => received.push({ topic, payload }));
    return received;
  };
  const topic = (rest: string): string => `suite/${++serial}/${rest}`;
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const texts = (received: Received[]): string[] =>
    received.map(({ payload }) => new TextDecoder().decode(payload));

  check("a message arrives byte for byte with QoS 0 and QoS 1", async () => {
    const [sender, receiver] = [await connect(), await connect()];
    const where = topic("bytes");
    const received = await listen(receiver, where);
    const payloads = [0, 1, 127, 128, 65_600].map((size) =>
      Uint8Array.from({ length: size }, (_, i) => (i * 31 + size) % 256),
    );
    for (const qos of [0, 1] as const) {
      for (const payload of payloads) await sender.publish(where, payload, { qos, retain: false });
    }
    await eventually("ten messages", () => received.length === 10);
    for (const [i, { payload }] of received.entries()) {
      assert.ok(Buffer.from(payload).equals(payloads[i % 5] as Uint8Array), `message ${i}`);
    }
  });

  check("messages of one sender arrive in order", async () => {
    const [sender, receiver] = [await connect(), await connect()];
    const where = topic("order");
    const received = await listen(receiver, where);
    const wanted = Array.from({ length: 300 }, (_, i) => String(i));
    await Promise.all(
      wanted.map((value) => sender.publish(where, text(value), { qos: 1, retain: false })),
    );
    await eventually("300 messages", () => received.length >= 300);
    assert.deepEqual(texts(received), wanted);
  });

  check("a filter with + gets one level and no other topic", async () => {
    const [sender, receiver] = [await connect(), await connect()];
    const base = topic("tree");
    const received = await listen(receiver, `${base}/+/evt`);
    for (const path of ["a/evt", "b/cmd", "a/x/evt", "evt", "b/evt"]) {
      await sender.publish(`${base}/${path}`, text(path), { qos: 1, retain: false });
    }
    await eventually("the last message", () => received.length === 2);
    assert.deepEqual(
      received.map((message) => message.topic),
      [`${base}/a/evt`, `${base}/b/evt`],
    );
  });

  check("a retained message reaches a later subscriber until it is cleared", async () => {
    const sender = await connect();
    const where = topic("retained");
    await sender.publish(where, text("old"), { qos: 1, retain: true });
    await sender.publish(where, text("new"), { qos: 1, retain: true });
    const first = await listen(await connect(), where);
    await eventually("the retained message", () => first.length > 0);
    assert.deepEqual(texts(first), ["new"]);
    await sender.publish(where, new Uint8Array(0), { qos: 1, retain: true });
    await eventually("the clearing message", () => first.length === 2);
    const probe = await connect();
    const second = await listen(probe, where);
    await sender.publish(where, text("live"), { qos: 1, retain: false });
    await eventually("the live message", () => second.length > 0);
    assert.deepEqual(texts(second), ["live"]);
  });

  check("nothing arrives after unsubscribe", async () => {
    const [sender, receiver] = [await connect(), await connect()];
    const [where, marker] = [topic("gone"), topic("marker")];
    const received = await listen(receiver, where);
    const marks = await listen(receiver, marker);
    await receiver.unsubscribe(where);
    await sender.publish(where, text("late"), { qos: 1, retain: false });
    await sender.publish(marker, text("mark"), { qos: 1, retain: false });
    await eventually("the marker", () => marks.length === 1);
    assert.deepEqual(received, []);
  });

  check("a will is published when the link is cut and not on close", async () => {
    const watcher = await connect();
    const where = topic("will");
    const received = await listen(watcher, where);
    const will = { topic: where, payload: text("gone"), qos: 1, retain: false } as const;
    const polite = await connect({ will }, under.unreliable);
    await polite.close();
    const broken = await connect({ will }, under.unreliable);
    assert.deepEqual(received, []);
    under.cut(broken.clientId);
    await eventually("the will", () => received.length > 0);
    assert.deepEqual(texts(received), ["gone"]);
    await broken.close();
  });

  check("a durable session keeps QoS 1 messages while its client is away", async () => {
    const sender = await connect();
    const where = topic("durable");
    const clientId = freshId();
    const before = await connect({ clientId, clean: false });
    await listen(before, where);
    await before.close();
    await sender.publish(where, text("kept"), { qos: 1, retain: false });
    const back = await connect({ clientId, clean: false });
    const received = await listen(back, where);
    await eventually("the kept message", () => received.length > 0);
    await sender.publish(where, text("live"), { qos: 1, retain: false });
    await eventually("the live message", () => received.length === 2);
    assert.deepEqual(texts(received), ["kept", "live"]);
  });

  check("a clean session forgets what it missed", async () => {
    const sender = await connect();
    const where = topic("clean");
    const clientId = freshId();
    const before = await connect({ clientId });
    await listen(before, where);
    await before.close();
    await sender.publish(where, text("missed"), { qos: 1, retain: false });
    const received = await listen(await connect({ clientId }), where);
    await sender.publish(where, text("live"), { qos: 1, retain: false });
    await eventually("the live message", () => received.length > 0);
    assert.deepEqual(texts(received), ["live"]);
  });

  check("a cut connection returns with its subscriptions and retained messages", async () => {
    const sender = await connect();
    const where = topic("return");
    const flaky = await connect({}, under.unreliable);
    await sender.publish(`${where}/kept`, text("kept"), { qos: 1, retain: true });
    const received = await listen(flaky, `${where}/+`);
    await eventually("the retained message", () => received.length === 1);
    const states: string[] = [];
    let refusal: Promise<void> | undefined;
    flaky.onState((state) => {
      states.push(state);
      if (state === "connected") return;
      const publishing = flaky.publish(where, text("x"), { qos: 0, retain: false });
      refusal = assert.rejects(publishing, TransportError);
    });
    under.cut(flaky.clientId);
    await eventually("the loss", () => refusal !== undefined);
    await refusal;
    await eventually("the return", () => states.includes("connected"));
    await eventually("the retained message again", () => received.length === 2);
    await sender.publish(`${where}/live`, text("live"), { qos: 1, retain: false });
    await eventually("the live message", () => received.length === 3);
    assert.deepEqual(texts(received), ["kept", "kept", "live"]);
    assert.deepEqual(states, ["disconnected", "connected"]);
    await flaky.close();
  });

  check("a second connection with the same id displaces the first", async () => {
    const clientId = freshId();
    const first = await connect({ clientId });
    let closing: Promise<void> | undefined;
    first.onState(() => {
      closing ??= first.close();
    });
    const second = await connect({ clientId });
    await eventually("the displacement", () => closing !== undefined);
    await closing;
    assert.deepEqual([first.state, second.state], ["disconnected", "connected"]);
  });

  check("an overlapping or malformed filter is refused", async () => {
    const transport = await connect();
    const base = topic("overlap");
    await listen(transport, `${base}/+/evt`);
    await assert.rejects(listen(transport, `${base}/a/evt`), TransportError);
    await assert.rejects(listen(transport, `${base}/a#`), TransportError);
    await listen(transport, `${base}/a/cmd`);
  });

  check("a failing handler is reported and later messages still arrive", async () => {
    const [sender, receiver] = [await connect(), await connect()];
    const where = topic("fault");
    const seen: number[] = [];
    await receiver.subscribe(where, (_, payload) => {
      seen.push(payload.byteLength);
      if (payload.byteLength === 1) throw new RangeError("not today");
    });
    under.faults.length = 0;
    await sender.publish(where, new Uint8Array(1), { qos: 1, retain: false });
    await sender.publish(where, new Uint8Array(2), { qos: 1, retain: false });
    await eventually("both messages", () => seen.length === 2);
    assert.match(under.faults[0]?.message ?? "", /not today/);
  });

  check("a closed connection publishes no more and may be closed again", async () => {
    const transport = await connect();
    await transport.close();
    await transport.close();
    assert.equal(transport.state, "disconnected");
    const publishing = transport.publish(topic("x"), text("x"), { qos: 1, retain: false });
    await assert.rejects(publishing, TransportError);
  });
}
