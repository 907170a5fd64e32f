/** One demo run: writes the configurations, starts the processes, follows the coordinator to its end. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../base/clock.ts";
import { FedspineError } from "../../base/errors.ts";
import type { RunEvent, RunSummary } from "../../coordinator/run-events.ts";
import type { CoordinatorConfigInput } from "../../coordinator/config.ts";
import type { DeviceConfigInput } from "../../device/config.ts";
import { writeJson } from "../../io/json.ts";
import { FleetFolder } from "../../security/fleet-folder.ts";
import { enrolHere } from "../../security/local-enrolment.ts";
import { BROKER_PROGRAM } from "../commands/broker.ts";
import { writeBrokerConfig } from "../fleet-broker.ts";
import { writeDeviceData, type DemoFleet } from "./fleet.ts";
import { firstLine, Processes } from "./processes.ts";

export interface DemoSettings {
  readonly folder: string;
  readonly base: string;
  readonly rounds: number;
  readonly steps: number;
  /** Share of each model's body that is gone at the end; 0 = nothing is pruned. */
  readonly pruned: number;
  readonly kernels: "simd" | "relaxed" | "auto";
  readonly seed: number;
  /** An external broker instead of the bundled one. */
  readonly broker: string | null;
}

/** The coordinator's summary, with what only its process knows. */
export type DemoSummary = RunSummary & {
  readonly adapter: string | null;
  /** Folder with what each device's model was pruned to. */
  readonly structures: string | null;
  readonly residentBytes: number;
};

export interface DemoListener {
  readonly onEvent: (event: RunEvent) => void;
  /** A device process ended before the run did; the text says how and where its log is. */
  readonly onDeviceLost: (text: string) => void;
}

/** Few rounds: one to learn what matters, one in three at the end to recover. */
const SCHEDULE = { warmupShare: 0.1, cooldownShare: 0.3, maxStep: 0.15, slack: 0.1, blend: 1 };
const CONTROLLER = "hybrid";
const RANKS = [4, 8, 16] as const;

const CLI = fileURLToPath(new URL("../main.js", import.meta.url));

/** Starts everything and resolves when the coordinator has ended. Throws FedspineError when it leaves no summary. */
export async function runDemo(
  fleet: DemoFleet,
  settings: DemoSettings,
  listener: DemoListener,
): Promise<DemoSummary> {
  const processes = new Processes(join(settings.folder, "logs"));
  const onExit = (): void => processes.killAll();
  process.once("exit", onExit);
  const onSignal = (): void => void processes.stop("coordinator");
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  let isOver = false;
  try {
    const name = `demo-${settings.seed}-${process.pid}`;
    const keys = settings.broker === null ? makeKeys(fleet, settings.folder, name) : null;
    const broker = settings.broker ?? (await startBroker(processes, keys?.brokerConfig ?? ""));
    const fleetFolder = keys?.folder ?? null;
    const files = writeConfigurations(fleet, settings, { name, broker, fleetFolder });
    const summary = followCoordinator(processes, files, settings, listener);
    let numRunning = fleet.devices.length;
    fleet.devices.forEach(({ id }, i) => {
      const args = ["device", "--config", files.devices[i] as string];
      const { exited } = processes.start(id, CLI, args, () => undefined);
      void exited.then((code) => {
        numRunning--;
        if (code === 0 || isOver) return;
        listener.onDeviceLost(`${id} ended with status ${code}, see ${processes.logOf(id)}`);
        // Without devices the coordinator would wait for its join timeout.
        if (numRunning === 0) void processes.stop("coordinator");
      });
    });
    return await summary;
  } finally {
    isOver = true;
    await processes.stopAll();
    process.off("exit", onExit);
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

/** Keys for everybody: the demo runs as a fleet in the field does, by TLS and with sealed messages. */
function makeKeys(
  fleet: DemoFleet,
  folder: string,
  name: string,
): { folder: string; brokerConfig: string } {
  const path = join(folder, "fleet");
  const nowMs = systemClock.nowMs();
  const [broker, enrolment] = ["mqtts://127.0.0.1", "https://127.0.0.1"];
  const keys = FleetFolder.create(
    path,
    { fleet: name, hosts: ["127.0.0.1"], broker, enrolment },
    nowMs,
  );
  for (const { id, profile } of fleet.devices) {
    enrolHere(keys, { id, type: profile.type, stateFolder: stateFolderOf(folder, id) }, nowMs);
  }
  return { folder: path, brokerConfig: writeBrokerConfig(keys, path, {}) };
}

function stateFolderOf(folder: string, id: string): string {
  return join(folder, "state", id);
}

async function startBroker(processes: Processes, config: string): Promise<string> {
  const args = ["--port", "0", "--config", config];
  const port = await firstLine(processes, "broker", BROKER_PROGRAM, args, (line) => {
    const record = JSON.parse(line) as { listening?: { port: number } };
    return record.listening?.port;
  });
  return `mqtts://127.0.0.1:${port}`;
}

interface Files {
  readonly coordinator: string;
  readonly test: string;
  readonly devices: readonly string[];
}

interface Meeting {
  readonly name: string;
  readonly broker: string;
  /** null with an external broker, where nothing is sealed. */
  readonly fleetFolder: string | null;
}

function writeConfigurations(
  fleet: DemoFleet,
  settings: DemoSettings,
  { name, broker, fleetFolder }: Meeting,
): Files {
  const { folder } = settings;
  mkdirSync(folder, { recursive: true });
  const dataPaths = writeDeviceData(join(folder, "data"), fleet.devices);
  const test = join(folder, "data", "test.jsonl");
  const rows = fleet.test.examples.map(({ text, label }) => JSON.stringify({ text, label }));
  writeFileSync(test, `${rows.join("\n")}\n`);
  const coordinator: CoordinatorConfigInput = {
    fleet: name,
    broker,
    ...(fleetFolder === null ? {} : { fleetFolder }),
    runFolder: join(folder, "run"),
    base: settings.base,
    labels: [...fleet.test.labels],
    rounds: settings.rounds,
    minDevices: fleet.devices.length,
    seed: settings.seed,
    heartbeatMs: 5000,
    roundTimeoutMs: 120_000,
    plan: {
      rank: 8,
      alpha: 16,
      targets: "all-linear",
      steps: settings.steps,
      batchSize: 8,
      learningRate: 4e-3,
      maxTokens: 96,
      dropout: 0,
    },
    pruning: settings.pruned === 0 ? null : { final: settings.pruned, ...SCHEDULE },
    controller: { kind: CONTROLLER },
    ranks: [...RANKS],
  };
  const path = join(folder, "coordinator.json");
  writeJson(path, coordinator);
  const devices = fleet.devices.map(({ id, profile }, i) => {
    const config: DeviceConfigInput = {
      id,
      fleet: name,
      broker,
      stateFolder: stateFolderOf(folder, id),
      data: dataPaths[i] as string,
      type: profile.type,
      kernels: settings.kernels,
      speed: profile.speed,
      memoryBytes: profile.memoryBytes,
      link: {
        upBytesPerSecond: profile.upBytesPerSecond,
        downBytesPerSecond: profile.downBytesPerSecond,
        latencyMs: profile.latencyMs,
      },
    };
    const devicePath = join(folder, "data", `${id}.json`);
    writeJson(devicePath, config);
    return devicePath;
  });
  return { coordinator: path, test, devices };
}

/** Starts the coordinator and reads its JSON lines until it ends. */
async function followCoordinator(
  processes: Processes,
  files: Files,
  { kernels }: DemoSettings,
  { onEvent }: DemoListener,
): Promise<DemoSummary> {
  let summary: DemoSummary | undefined;
  const args = ["coordinator", "--config", files.coordinator, "--test", files.test, "--json"];
  const { exited } = processes.start(
    "coordinator",
    CLI,
    [...args, "--kernels", kernels],
    (line) => {
      const record = JSON.parse(line) as { event?: RunEvent; summary?: DemoSummary };
      if (record.event !== undefined) onEvent(record.event);
      if (record.summary !== undefined) summary = record.summary;
    },
  );
  const code = await exited;
  if (summary !== undefined) return summary;
  throw new FedspineError("the coordinator ended without a summary", {
    got: `exit status ${code}`,
    hint: `see ${processes.logOf("coordinator")}`,
  });
}
