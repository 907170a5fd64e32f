/** `fedspine coordinator`: run a federated fine-tuning as its coordinator, in the foreground. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Command } from "commander";
import type { BaseDtype } from "../../base/base-dtype.ts";
import { systemClock } from "../../base/clock.ts";
import { ConfigError, ExitCode } from "../../base/errors.ts";
import { Rng } from "../../base/rng.ts";
import { parseCoordinatorConfig, type CoordinatorConfig } from "../../coordinator/config.ts";
import { runCoordinator } from "../../coordinator/run-coordinator.ts";
import type { RunEvent } from "../../coordinator/run-events.ts";
import { readRunRecord } from "../../coordinator/run-journal.ts";
import { loadExamples } from "../../data/dataset.ts";
import { readHeadShapes } from "../../models/head-shapes.ts";
import { readModelShape } from "../../models/shape.ts";
import { brokerAccess } from "../broker-access.ts";
import { coordinatorMembership } from "../membership.ts";
import { addTlsOptions, tlsPathsIn, type TlsFlags } from "../tls-options.ts";
import { centralEvaluation } from "../central-evaluation.ts";
import { readConfigFile } from "../config-file.ts";
import { dropLines, eventLine } from "../event-lines.ts";
import { baseDtypeOption, kernelsOption, type KernelChoice } from "../options.ts";
import { note, print, printJson } from "../output.ts";
import { exportRun } from "../run-export.ts";

interface Options extends TlsFlags {
  config: string;
  test?: string;
  resume?: boolean;
  supervised?: boolean;
  kernels: KernelChoice;
  baseDtype: BaseDtype;
  json?: boolean;
}

export function command(): Command {
  return addTlsOptions(new Command())
    .description("Run a federated fine-tuning as its coordinator, in the foreground")
    .requiredOption("--config <file>", "coordinator.json")
    .option("--test <path>", "labelled texts that every round's adapter is scored on")
    .option("--resume", "continue the run in the configured run folder")
    .option("--supervised", "continue the run in the run folder, or begin one when there is none")
    .addOption(kernelsOption("simd"))
    .addOption(baseDtypeOption())
    .option("--json", "one JSON line per event and one with the summary, on stdout")
    .action(run);
}

async function run(options: Options): Promise<void> {
  const { settings, tls, seal } = await coordinatorMembership(
    readConfigFile(options.config, ["base", "runFolder", "fleetFolder", "ca", "cert", "key"]),
  );
  const config = parseCoordinatorConfig(settings);
  const rng = Rng.fromSeed(randomBytes(16).toString("hex"));
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const onEvent = (event: RunEvent): void => {
    if (options.json === true) return printJson({ event });
    const line = eventLine(event);
    if (line !== null) print(line);
  };
  const summary = await runCoordinator(config, {
    factory: brokerAccess({
      url: config.broker,
      rng: rng.fork("transport"),
      onFault: note,
      own: tls,
      paths: { ...config, ...tlsPathsIn(options) },
    }),
    ...(seal === undefined ? {} : { seal: seal(rng.fork("seal")) }),
    clock: systemClock,
    rng,
    evaluate: evaluation(config, options),
    shape: readModelShape(config.base, config.labels),
    heads: readHeadShapes(config.base, config.labels),
    onEvent,
    resume: options.resume === true || isContinued(config, options),
    signal: stop.signal,
  });
  const exported = summary.rounds === 0 ? null : exportRun(config);
  const { adapter = null, structures = null } = exported ?? {};
  if (options.json === true) {
    printJson({
      summary: {
        ...{ ...summary, adapter, structures },
        residentBytes: process.resourceUsage().maxRSS * 1024,
      },
    });
  } else {
    dropLines(summary.dropped).forEach((line) => print(line));
    if (adapter !== null) print(`adapter: ${adapter}`);
    if (structures !== null) print(`pruned models: --structure ${join(structures, "DEVICE.json")}`);
  }
  if (!summary.ok) {
    note(`run failed: ${summary.reason}`);
    process.exitCode = summary.ending === "displaced" ? ExitCode.displaced : ExitCode.failed;
  }
}

/** Started by a supervisor, the same command line begins a run and goes on with it. */
function isContinued({ runFolder }: CoordinatorConfig, { supervised }: Options): boolean {
  return supervised === true && readRunRecord(runFolder) !== undefined;
}

function evaluation(
  config: CoordinatorConfig,
  { test, kernels, baseDtype }: Options,
): ReturnType<typeof centralEvaluation> | null {
  if (test === undefined) return null;
  const { examples } = loadExamples(test);
  const unknown = examples.find(({ label }) => !config.labels.includes(label));
  if (unknown !== undefined) {
    throw new ConfigError(`${test} has a label that the configuration lacks`, {
      expected: config.labels.join(", "),
      got: unknown.label,
    });
  }
  return centralEvaluation({
    baseFolder: config.base,
    test: { examples, labels: config.labels },
    maxTokens: config.plan.maxTokens,
    kernels,
    baseDtype,
  });
}
