/** `fedspine device`: run a device agent in the foreground. */
import { randomBytes } from "node:crypto";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { systemClock } from "../../base/clock.ts";
import { Rng } from "../../base/rng.ts";
import { loadExamples } from "../../data/dataset.ts";
import type { AgentEvent } from "../../device/agent.ts";
import { parseDeviceConfig } from "../../device/config.ts";
import { EngineTrainer } from "../../device/engine-trainer.ts";
import { memoryBounds, smallestBound } from "../../device/memory-budget.ts";
import { runDevice } from "../../device/run-device.ts";
import { fileMemory } from "../../device/training/trainer-memory.ts";
import { brokerAccess } from "../broker-access.ts";
import { deviceMembership } from "../membership.ts";
import { addTlsOptions, tlsPathsIn, type TlsFlags } from "../tls-options.ts";
import { readConfigFile } from "../config-file.ts";
import { processLog } from "../process-log.ts";

interface Options extends TlsFlags {
  config: string;
  logJson?: boolean;
  verbose?: boolean;
}

export function command(): Command {
  return addTlsOptions(new Command())
    .description("Run a device agent in the foreground; its data stay here")
    .requiredOption("--config <file>", "device.json")
    .option("--log-json", "log lines as JSON")
    .option("--verbose", "log every training step")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { settings, tls, seal } = deviceMembership(
    readConfigFile(options.config, ["data", "stateFolder", "ca", "cert", "key"]),
  );
  const config = parseDeviceConfig(settings);
  const log = processLog(config.id ?? "device", {
    json: options.logJson === true,
    level: options.verbose === true ? 4 : 3,
  });
  const { examples, columns } = loadExamples(config.data);
  log.info(`${examples.length} examples from ${config.data} (${columns})`);
  const rng = Rng.fromSeed(randomBytes(16).toString("hex"));
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const bounds = () => memoryBounds(config.memoryBytes, totalmem());
  // What is free changes from hour to hour: it bounds a round, and is not what the machine is.
  const { availableBytes: _, ...machineBounds } = bounds();
  await runDevice(config, {
    factory: brokerAccess({
      url: config.broker,
      rng: rng.fork("transport"),
      onFault: (text) => log.warn(text),
      own: tls,
      paths: { ...config, ...tlsPathsIn(options) },
    }),
    ...(seal === undefined ? {} : { seal: seal(rng.fork("seal")) }),
    clock: systemClock,
    rng,
    createTrainer: (deviceId) =>
      new EngineTrainer({
        examples,
        deviceId,
        kernels: config.kernels,
        baseDtype: config.baseDtype,
        threads: config.threads,
        memory: fileMemory(join(config.stateFolder, "pruning.safetensors")),
        budget: () => smallestBound(bounds()),
        savesMemory: true,
      }),
    machine: { cores: cpus().length, memoryBytes: smallestBound(machineBounds).bytes },
    onEvent: (event) => report(log, event),
    signal: stop.signal,
  });
}

function report(log: ReturnType<typeof processLog>, event: AgentEvent): void {
  switch (event.kind) {
    case "working":
      if (event.phase === "idle") return;
      return log.info(`round ${event.round}: ${event.phase}`);
    case "step":
      return log.debug(
        `round ${event.round} step ${event.step}/${event.numSteps} loss ${event.loss}`,
      );
    case "answered":
      return log.info(`update ${event.verdict}`);
    case "failed":
      return log.warn(`round ${event.round} failed: ${event.reason}`);
    case "broke":
      return log.warn(event.text);
    case "message-dropped":
      return log.warn(`message ignored: ${event.reason} (${event.detail})`);
    case "ended":
      return log.info(`ended: ${event.reason}`);
  }
}
