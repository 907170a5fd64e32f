/** The MQTT driver: the common suite over our broker by TCP and WebSocket and over mosquitto, then what is its own. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, connect as netConnect } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { startBroker } from "../../broker/src/broker.ts";
import { openPolicy } from "../../broker/src/policy.ts";
import { ConfigError, TransportError } from "../../src/base/errors.ts";
import type { FedspineError } from "../../src/base/errors.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import type { MqttOptions } from "../../src/transport/mqtt-options.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, mosquittoAbsent, mosquittoPath, startMosquitto } from "../support/mosquitto.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { startThrottleProxy } from "../support/throttle-proxy.ts";
import { transportSuite } from "../support/transport-suite.ts";
import type { TransportUnderTest } from "../support/transport-suite.ts";

function mqttOptions(url: string): MqttOptions {
  return {
    url,
    clock: systemClock,
    rng: Rng.fromSeed(url),
    backoff: { firstMs: 20, maxMs: 200 },
  };
}

async function underTest(
  scheme: "mqtt" | "ws",
  port: number,
  closeBroker: () => Promise<void>,
): Promise<TransportUnderTest> {
  const faults: FedspineError[] = [];
  const proxy = await startThrottleProxy({ targetPort: port });
  const via = (viaPort: number) =>
    mqttTransportFactory({
      ...mqttOptions(`${scheme}://127.0.0.1:${viaPort}`),
      onFault: (fault) => faults.push(fault),
    });
  return {
    factory: via(port),
    unreliable: via(proxy.port),
    faults,
    cut: () => proxy.cut(),
    async close() {
      await proxy.close();
      await closeBroker();
    },
  };
}

transportSuite("bundled broker by TCP", async () => {
  const broker = await startBroker({ port: 0 });
  return underTest("mqtt", broker.port, () => broker.close());
});

transportSuite("bundled broker by WebSocket", async () => {
  const broker = await startBroker({ port: 0, wsPort: 0 });
  return underTest("ws", broker.wsPort ?? 0, () => broker.close());
});

const noMosquitto = mosquittoPath() === undefined ? mosquittoAbsent : false;

transportSuite(
  "mosquitto",
  async () => {
    const broker = await startMosquitto();
    return underTest("mqtt", broker.port, () => broker.close());
  },
  noMosquitto,
);

transportSuite(
  "mosquitto by WebSocket",
  async () => {
    const wsPort = await freePort();
    const broker = await startMosquitto([`listener ${wsPort} 127.0.0.1`, "protocol websockets"]);
    return underTest("ws", wsPort, () => broker.close());
  },
  noMosquitto,
);

test("a url with credentials, of another scheme or unreadable is refused without repeating the password", () => {
  for (const url of ["mqtt://me:secret@localhost", "http://localhost", "secret"]) {
    assert.throws(
      () => mqttTransportFactory(mqttOptions(url)),
      (error) => error instanceof ConfigError && !error.message.includes("secret"),
    );
  }
});

test("connecting to nothing is given up after the set time and names the broker", async () => {
  const factory = mqttTransportFactory(mqttOptions("mqtt://127.0.0.1:1"));
  const connecting = factory.connect({
    clientId: "a",
    clean: true,
    keepaliveSeconds: 30,
    giveUpAfterMs: 300,
  });
  await assert.rejects(
    connecting,
    (error) => error instanceof TransportError && error.details.broker === "mqtt://127.0.0.1:1",
  );
});

test("a refused client is told at once and the error holds no password", async () => {
  const broker = await startBroker(
    { port: 0 },
    {
      connect: ({ username, password, ...request }) =>
        username === "gate" && Buffer.from(password ?? []).toString() === "right"
          ? openPolicy(1000).connect({ ...request, username, password })
          : "bad-credentials",
    },
  );
  const options = mqttOptions(`mqtt://127.0.0.1:${broker.port}`);
  const wrong = mqttTransportFactory({ ...options, username: "gate", password: "wr0ng-secret" });
  const connectOptions = { clientId: "a", clean: true, keepaliveSeconds: 30 };
  await assert.rejects(wrong.connect({ ...connectOptions, giveUpAfterMs: 60_000 }), (error) => {
    assert.ok(error instanceof TransportError);
    assert.match(error.message, /Bad username or password/);
    assert.ok(!JSON.stringify(error.details).includes("wr0ng"));
    return true;
  });
  const right = mqttTransportFactory({ ...options, username: "gate", password: "right" });
  const transport = await right.connect(connectOptions);
  await transport.close();
  await broker.close();
});

test("a subscription that the broker refuses rejects and leaves the connection usable", async () => {
  const broker = await startBroker(
    { port: 0 },
    {
      connect: () => ({
        publish: () => true,
        subscribe: (filter) => !filter.startsWith("secret/"),
        isCurrent: () => true,
      }),
    },
  );
  const factory = mqttTransportFactory(mqttOptions(`mqtt://127.0.0.1:${broker.port}`));
  const transport = await factory.connect({ clientId: "a", clean: true, keepaliveSeconds: 30 });
  await assert.rejects(
    transport.subscribe("secret/x", () => {}),
    (error) => error instanceof TransportError && /refuses/.test(error.message),
  );
  let arrivals = 0;
  await transport.subscribe("open/x", () => arrivals++);
  await transport.publish("open/x", Uint8Array.of(1), { qos: 1, retain: false });
  await eventually("the message", () => arrivals === 1);
  await transport.close();
  await broker.close();
});

test("a publish in flight rejects when the link drops before the acknowledgement", async () => {
  const silent = createServer((socket) => {
    socket.once("data", () => socket.write(Buffer.from([0x20, 2, 0, 0])));
    socket.on("data", (bytes) => {
      if ((bytes[0] ?? 0) >> 4 === 3) socket.resetAndDestroy();
    });
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const { port } = silent.address() as AddressInfo;
  const factory = mqttTransportFactory(mqttOptions(`mqtt://127.0.0.1:${port}`));
  for (const clean of [true, false]) {
    const transport = await factory.connect({ clientId: "a", clean, keepaliveSeconds: 30 });
    await assert.rejects(
      transport.publish("t", Uint8Array.of(1), { qos: 1, retain: false }),
      TransportError,
    );
    await transport.close();
  }
  await new Promise((resolve) => silent.close(resolve));
});

test("a client finds its broker again after the broker was away", async () => {
  const first = await startBroker({ port: 0 });
  const { port } = first;
  const factory = mqttTransportFactory(mqttOptions(`mqtt://127.0.0.1:${port}`));
  const transport = await factory.connect({ clientId: "a", clean: false, keepaliveSeconds: 30 });
  let arrivals = 0;
  await transport.subscribe("t", () => arrivals++);
  await first.close();
  await eventually("the loss", () => transport.state === "disconnected");
  await transport.subscribe("u", () => arrivals++);
  const second = await startBroker({ port });
  await eventually("the return", () => transport.state === "connected");
  await transport.publish("t", Uint8Array.of(1), { qos: 1, retain: false });
  await transport.publish("u", Uint8Array.of(1), { qos: 1, retain: false });
  await eventually("both messages", () => arrivals === 2);
  await transport.close();
  await second.close();
});

const noOpenssl =
  spawnSync("openssl", ["version"]).status === 0 ? false : "openssl is not installed";

test(
  "TLS with the fleet's own authority works, and without it nothing is sent",
  { skip: noOpenssl },
  async (t) => {
    const [keyPath, certPath] = ["key.pem", "cert.pem"].map((name) =>
      join(temporaryFolder(t), name),
    );
    assert.ok(keyPath !== undefined && certPath !== undefined);
    const wanted = [
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=test",
      "-addext",
      "subjectAltName=IP:127.0.0.1",
    ];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    const files = ["-keyout", keyPath, "-out", certPath];
    const made = spawnSync("openssl", ["req", "-x509", ...curve, ...wanted, ...files]);
    assert.equal(made.status, 0, made.stderr.toString());
    const [key, cert] = [readFileSync(keyPath, "utf8"), readFileSync(certPath, "utf8")];
    const broker = await startBroker({ port: 0 });
    const door = createTlsServer({ key, cert }, (socket) => {
      const inner = netConnect(broker.port, "127.0.0.1");
      socket.on("error", () => inner.destroy());
      inner.on("error", () => socket.destroy());
      socket.pipe(inner).pipe(socket);
    });
    await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
    t.after(async () => {
      door.close();
      await broker.close();
    });
    const options = mqttOptions(`mqtts://127.0.0.1:${(door.address() as AddressInfo).port}`);
    const session = { clientId: "a", clean: true, keepaliveSeconds: 30, giveUpAfterMs: 100 };
    const trusting = mqttTransportFactory({ ...options, tls: { ca: cert } });
    const transport = await trusting.connect(session);
    await transport.publish("t", Uint8Array.of(1), { qos: 1, retain: false });
    await transport.close();
    const { published } = broker.stats();
    await assert.rejects(mqttTransportFactory(options).connect(session), /self-signed certificate/);
    assert.equal(broker.stats().published, published);
  },
);
