/** Runs with a real broker and real device processes, some of which are killed. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import {
  type CoordinatorConfigInput,
  parseCoordinatorConfig,
} from "../../src/coordinator/config.ts";
import { runCoordinator } from "../../src/coordinator/run-coordinator.ts";
import type { RunEvent, RunSummary } from "../../src/coordinator/run-events.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import { eventually } from "../support/eventually.ts";
import { mosquittoAbsent, mosquittoPath, startMosquitto } from "../support/mosquitto.ts";
import { NodeProcess } from "../support/node-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { TOY_HEADS, TOY_SHAPE } from "../support/toy-shape.ts";
import { must } from "../support/must.ts";

type Broker = NodeProcess<{ listening: { port: number } }>;
type Device = NodeProcess<{ kind: string; phase?: string; reason?: string }>;

/** Generous: the machine may be busy. What is measured is that nothing hangs. */
const LIMIT_MS = 60_000;
const STEPS = 8;
const STEP_MS = 60;

async function startBroker(t: TestContext, port = 0): Promise<{ broker: Broker; port: number }> {
  const broker: Broker = new NodeProcess("broker/src/main.js", ["--port", String(port)]);
  t.after(() => broker.kill());
  await eventually("the broker listens", () => broker.lines.length > 0, LIMIT_MS);
  return { broker, port: must(broker.lines[0]).listening.port };
}

class Site {
  readonly events: RunEvent[] = [];
  readonly #t: TestContext;
  readonly #folder: string;
  readonly #url: string;

  constructor(t: TestContext, port: number) {
    this.#t = t;
    this.#folder = temporaryFolder(t);
    this.#url = `mqtt://127.0.0.1:${port}`;
  }

  coordinate(settings: Partial<CoordinatorConfigInput>): Promise<RunSummary> {
    const base = join(this.#folder, "base");
    mkdirSync(base);
    writeFileSync(join(base, "model.safetensors"), Buffer.alloc(300_000, "weights"));
    const config = parseCoordinatorConfig({
      broker: this.#url,
      runFolder: join(this.#folder, "run"),
      base,
      labels: ["no", "yes"],
      plan: { rank: 3, alpha: 6, steps: STEPS, targets: "all-linear" },
      heartbeatMs: 1000,
      roundTimeoutMs: 30_000,
      joinTimeoutMs: 30_000,
      ...settings,
    });
    const rng = Rng.fromSeed(`coordinator ${process.pid} ${performance.now()}`);
    const backoff = { firstMs: 200, maxMs: 1000 };
    return runCoordinator(config, {
      factory: mqttTransportFactory({
        url: this.#url,
        clock: systemClock,
        rng: rng.fork("transport"),
        backoff,
      }),
      clock: systemClock,
      rng,
      evaluate: null,
      shape: TOY_SHAPE,
      heads: TOY_HEADS,
      onEvent: (event) => this.events.push(event),
      resume: false,
    });
  }

  device(id: string, stepMs = STEP_MS): Device {
    const config = join(this.#folder, `${id}.json`);
    const stateFolder = join(this.#folder, id);
    writeFileSync(config, JSON.stringify({ id, broker: this.#url, stateFolder, data: "none" }));
    const device: Device = new NodeProcess("test/support/device-process.js", [
      config,
      String(stepMs),
    ]);
    this.#t.after(() => device.kill());
    return device;
  }

  has(kind: RunEvent["kind"], part: Record<string, unknown> = {}): boolean {
    return this.events.some(
      (event) =>
        event.kind === kind &&
        Object.entries(part).every(
          ([key, value]) => (event as Record<string, unknown>)[key] === value,
        ),
    );
  }
}

/** Three devices, two rounds; one is killed while it trains in round 1 and comes back for round 2. */
async function runWithCasualty(t: TestContext, port: number): Promise<void> {
  const site = new Site(t, port);
  const summary = site.coordinate({ rounds: 2, minDevices: 3, quorum: 0.6 });
  const steady = [site.device("a"), site.device("b")];
  const unlucky = site.device("c", 5000);
  const trains = (): boolean => site.has("device-progress", { device: "c", phase: "training" });
  await eventually("c trains", trains, LIMIT_MS);
  await unlucky.kill();
  await eventually(
    "round 1 is done without c",
    () => site.has("aggregated", { round: 1 }),
    LIMIT_MS,
  );
  assert.ok(site.has("device-left", { device: "c" }));
  const again = site.device("c");
  const { ok, reason, rounds, devices, dropped } = await summary;
  assert.deepEqual([ok, rounds], [true, 2], reason);
  assert.deepEqual(
    devices.map((device) => [device.id, device.rounds]),
    [
      ["a", 2],
      ["b", 2],
      ["c", 1],
    ],
  );
  assert.deepEqual(dropped, {});
  for (const device of [...steady, again]) {
    assert.equal(await device.exited, 0, device.errors);
    assert.match(must(device.lines.at(-1)).reason ?? "", /2 rounds are done/);
  }
}

test("over the bundled broker a killed device costs its own update and nothing else", async (t) => {
  await runWithCasualty(t, (await startBroker(t)).port);
});

test(
  "over mosquitto a killed device costs its own update and nothing else",
  { skip: mosquittoPath() === undefined ? mosquittoAbsent : false },
  async (t) => {
    const mosquitto = await startMosquitto();
    t.after(() => mosquitto.close());
    await runWithCasualty(t, mosquitto.port);
  },
);

test("a broker that is killed in mid-round and started again costs nothing but time", async (t) => {
  const { broker, port } = await startBroker(t);
  const site = new Site(t, port);
  const summary = site.coordinate({ rounds: 1, minDevices: 2, quorum: 1 });
  const devices = [site.device("a", 300), site.device("b", 300)];
  const trains = (): boolean => site.has("device-progress", { phase: "training" });
  await eventually("a device trains", trains, LIMIT_MS);
  await broker.kill();
  await startBroker(t, port);
  const { ok, reason } = await summary;
  assert.equal(ok, true, reason);
  assert.equal(site.events.filter(({ kind }) => kind === "round-started").length, 1);
  for (const device of devices) assert.equal(await device.exited, 0, device.errors);
});
