/** The broker as a program: ready line, clean end, refusals by exit code; and its WebSocket door. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startBroker } from "../../broker/src/broker.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";

const mainPath = fileURLToPath(new URL("../../broker/src/main.js", import.meta.url));

function run(args: string[]) {
  const child = spawn(process.execPath, [mainPath, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { out: "", err: "" };
  child.stdout.on("data", (text: Buffer) => (output.out += text.toString()));
  child.stderr.on("data", (text: Buffer) => (output.err += text.toString()));
  return { child, output, ended: once(child, "close") as Promise<[number | null]> };
}

test("it prints where it listens, serves, and ends cleanly on SIGTERM", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fedspine-broker-"));
  const config = join(folder, "broker.json");
  await writeFile(config, JSON.stringify({ port: 1, wsPort: 0 }));
  const { child, output, ended } = run(["--config", config, "--port", "0"]);
  await once(child.stdout, "data");
  const { listening } = JSON.parse(output.out) as {
    listening: { host: string; port: number; wsPort: number };
  };
  assert.equal(listening.host, "127.0.0.1");
  const transport = await mqttTransportFactory({
    url: `ws://127.0.0.1:${listening.wsPort}`,
    clock: systemClock,
    rng: Rng.fromSeed(1),
  }).connect({ clientId: "a", clean: true, keepaliveSeconds: 30 });
  await transport.publish("t", Uint8Array.of(1), { qos: 1, retain: false });
  await transport.close();
  child.kill("SIGTERM");
  assert.deepEqual((await ended)[0], 0);
  await rm(folder, { recursive: true });
});

test("wrong arguments end it with 64 and a taken port with 69", async () => {
  for (const args of [["--nonsense"], ["--port", "many"], ["--config", "/nowhere.json"]]) {
    const { ended, output } = run(args);
    assert.equal((await ended)[0], 64, output.err);
    assert.notEqual(output.err, "");
  }
  const broker = await startBroker({ port: 0 });
  const { ended } = run(["--port", String(broker.port)]);
  assert.equal((await ended)[0], 69);
  await broker.close();
});

test("a web page may connect only when its origin is listed", async () => {
  const broker = await startBroker({ port: 0, wsPort: 0, wsOrigins: ["https://fleet.example"] });
  const upgrade = (origin: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = {
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": Buffer.alloc(16).toString("base64"),
        "Sec-WebSocket-Protocol": "mqtt",
        Origin: origin,
      };
      const asked = request({ port: broker.wsPort, host: "127.0.0.1", headers });
      asked.on("response", (response) => resolve(response.statusCode));
      asked.on("upgrade", (response, socket) => {
        socket.destroy();
        resolve(response.statusCode);
      });
      asked.on("error", reject);
      asked.end();
    });
  assert.equal(await upgrade("https://evil.example"), 401);
  assert.equal(await upgrade("https://fleet.example"), 101);
  await broker.close();
});
