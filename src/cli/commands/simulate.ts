/** `fedspine simulate`: a whole fleet in virtual time, with real training, in one process. */
import { setMaxListeners } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { Command } from "commander";
import { parse } from "yaml";
import { CheckpointError, ConfigError, ExitCode } from "../../base/errors.ts";
import type { RunEvent } from "../../coordinator/run-events.ts";
import { builtInFleets } from "../../simulation/built-in-fleets.ts";
import { builtInFleet, parseSimulationConfig } from "../../simulation/config.ts";
import type { SimulationConfig } from "../../simulation/config.ts";
import { parseFleetProfile, type FleetProfile } from "../../simulation/fleet-schema.ts";
import type { SimulationSummary } from "../../simulation/simulation-summary.ts";
import { runSimulation } from "../../simulation/simulation.ts";
import { BUNDLED_BASE } from "../bundled-base.ts";
import { dropLines, eventLine } from "../event-lines.ts";
import { integer } from "../options.ts";
import { byteText, durationText, note, percent, print, printJson } from "../output.ts";

interface Options {
  out?: string;
  workers: number;
  resume?: boolean;
  json?: boolean;
}

/** Of larger fleets the lines of single devices are left out; they are in events.jsonl. */
const MOST_LISTED = 24;

export function command(): Command {
  return new Command()
    .description("Simulate a fleet: real training, virtual time, one process")
    .argument("<file>", "settings of the simulation, YAML")
    .option("--out <dir>", "folder of the run (default: runs/<name of the file>)")
    .option(
      "--workers <n>",
      "threads that train; results do not depend on it",
      integer(1),
      availableParallelism(),
    )
    .option("--resume", "go on with the simulation in the folder after its last whole round")
    .option("--json", "one JSON line per event and one with the summary, on stdout")
    .action(run);
}

async function run(file: string, options: Options): Promise<void> {
  const settings = readSettings(file);
  const out = resolve(options.out ?? join("runs", basename(file).replace(/\.ya?ml$/, "")));
  const stop = new AbortController();
  // Every job that is under way listens to it.
  setMaxListeners(0, stop.signal);
  const interrupt = (): void => stop.abort(new ConfigError("interrupted"));
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  const say = (line: string): void => (options.json === true ? note(line) : print(line));
  const onEvent = (event: RunEvent): void => {
    if (options.json === true) return printJson({ event });
    const isDetail = "device" in event && settings.fleet.devices > MOST_LISTED;
    const line = isDetail ? null : eventLine(event);
    if (line !== null) print(line);
  };
  try {
    const summary = await runSimulation(settings, {
      base: baseOf(settings),
      fleet: fleetOf(settings),
      outFolder: out,
      numWorkers: options.workers,
      resume: options.resume === true,
      onEvent,
      onNote: say,
      signal: stop.signal,
    });
    if (options.json === true) printJson({ summary: { ...summary, folder: out } });
    else closingLines(summary, out).forEach(print);
    if (!summary.ok) process.exitCode = ExitCode.failed;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    note(`interrupted; go on with: fedspine simulate ${file} --out ${out} --resume`);
    process.exitCode = ExitCode.failed;
  }
}

/** The settings with paths relative to the file made absolute. Throws ConfigError. */
function readSettings(file: string): SimulationConfig {
  const config = parseSimulationConfig(readYaml(file));
  const absolute = (path: string): string =>
    isAbsolute(path) ? path : resolve(dirname(file), path);
  const { base, data, fleet } = config;
  const isBuiltIn = Object.hasOwn(builtInFleets, fleet.profile);
  return {
    ...config,
    ...(base === undefined ? {} : { base: absolute(base) }),
    data: { ...data, source: data.source === "demo" ? data.source : absolute(data.source) },
    fleet: { ...fleet, profile: isBuiltIn ? fleet.profile : absolute(fleet.profile) },
  };
}

function baseOf({ base }: SimulationConfig): string {
  const folder = base ?? BUNDLED_BASE;
  if (existsSync(join(folder, "config.json"))) return folder;
  throw new CheckpointError(`no base model at ${folder}`, { hint: "name one with base" });
}

function fleetOf({ fleet: { profile } }: SimulationConfig): FleetProfile {
  return isAbsolute(profile)
    ? parseFleetProfile(`fleet ${profile}`, readYaml(profile))
    : builtInFleet(profile);
}

function readYaml(path: string): unknown {
  try {
    return parse(readFileSync(path, "utf8")) as unknown;
  } catch (cause) {
    throw new ConfigError(`cannot read ${path}`, { cause });
  }
}

function closingLines(summary: SimulationSummary, out: string): string[] {
  const { before, after, final, total, durationMs, rounds } = summary;
  const quality =
    after === null
      ? []
      : [
          `accuracy   before ${before === null ? "-" : percent(before.accuracy)}, after ${percent(after.accuracy)}` +
            (after.worst === undefined ? "" : `, worst device ${percent(after.worst.accuracy)}`),
        ];
  const ending =
    final === null
      ? []
      : [
          `final      all ${final.numDevices} devices pruned to ${percent(final.meanSparsity)}: mean accuracy ` +
            `${percent(final.accuracy)}, worst ${percent(final.worst.accuracy)} (${final.worst.device})`,
        ];
  return [
    `simulated  ${rounds} rounds in ${durationText(durationMs)} of virtual time`,
    ...quality,
    ...ending,
    `training   ${(total.gflops / 1000).toFixed(2)} TFLOP in all`,
    `traffic    ${byteText(total.bytesUp)} up, ${byteText(total.bytesDown)} down`,
    ...dropLines(summary.dropped),
    `folder     ${out}`,
  ];
}
