/** A device agent with a stand-in trainer as a process: `device-process.js <device.json> <stepMs>`. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { parseDeviceConfig } from "../../src/device/config.ts";
import { runDevice } from "../../src/device/run-device.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import { FakeTrainer } from "./fake-trainer.ts";

const [configPath = "", stepMs = ""] = process.argv.slice(2);
const config = parseDeviceConfig(JSON.parse(readFileSync(configPath, "utf8")));
const rng = Rng.fromSeed(randomBytes(16).toString("hex"));
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const reason = await runDevice(config, {
  factory: mqttTransportFactory({
    url: config.broker,
    clock: systemClock,
    rng: rng.fork("transport"),
    backoff: { firstMs: 200, maxMs: 1000 },
  }),
  clock: systemClock,
  rng,
  createTrainer: (deviceId) =>
    new FakeTrainer({ deviceId, clock: systemClock, stepMs: Number(stepMs) }),
  machine: { cores: 1, memoryBytes: 1e9 },
  onEvent: say,
});
say({ kind: "exit", reason });
