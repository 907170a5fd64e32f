#!/usr/bin/env node
/** The fedspine command: finds the subcommand, runs it, and turns what happens into an exit status. */
import "./small-heap.ts";
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { ExitCode, FedspineError } from "../base/errors.ts";

interface CommandEntry {
  readonly summary: string;
  readonly load: () => Promise<{ command: () => Command }>;
}

/** Every subcommand; a module is loaded only when it is asked for. */
const commands: Readonly<Record<string, CommandEntry>> = {
  demo: {
    summary: "run the whole system here: broker, coordinator and unequal devices",
    load: () => import("./commands/demo.ts"),
  },
  train: {
    summary: "fine-tune a model with LoRA on one machine",
    load: () => import("./commands/train.ts"),
  },
  eval: {
    summary: "score a model and adapter on labelled text or on plain text",
    load: () => import("./commands/eval.ts"),
  },
  classify: {
    summary: "classify texts",
    load: () => import("./commands/classify.ts"),
  },
  generate: {
    summary: "continue a prompt with a causal model",
    load: () => import("./commands/generate.ts"),
  },
  forward: {
    summary: "print the logits of one input, to compare with other implementations",
    load: () => import("./commands/forward.ts"),
  },
  merge: {
    summary: "fold an adapter into its base and write a plain model folder",
    load: () => import("./commands/merge.ts"),
  },
  export: {
    summary: "write a pruned model, and its adapter beside it, so that it loads elsewhere",
    load: () => import("./commands/export.ts"),
  },
  verify: {
    summary: "write a model in every form, read each back, and compare the logits",
    load: () => import("./commands/verify.ts"),
  },
  pretrain: {
    summary: "train a base model on text files",
    load: () => import("./commands/pretrain.ts"),
  },
  simulate: {
    summary: "simulate a fleet in virtual time, with real training",
    load: () => import("./commands/simulate.ts"),
  },
  broker: {
    summary: "run the bundled MQTT broker",
    load: () => import("./commands/broker.ts"),
  },
  coordinator: {
    summary: "run a federated fine-tuning as its coordinator",
    load: () => import("./commands/coordinator.ts"),
  },
  device: {
    summary: "run a device agent",
    load: () => import("./commands/device.ts"),
  },
  fleet: {
    summary: "make the keys of a fleet, or show them",
    load: () => import("./commands/fleet.ts"),
  },
  enroll: {
    summary: "print a one-time code for a new device, or use one",
    load: () => import("./commands/enroll.ts"),
  },
  devices: {
    summary: "list, accept, reject and revoke the devices of a fleet",
    load: () => import("./commands/devices.ts"),
  },
  why: {
    summary: "explain what a device was given in each round of a run",
    load: () => import("./commands/why.ts"),
  },
  report: {
    summary: "turn the folder of a run into one HTML page",
    load: () => import("./commands/report.ts"),
  },
  plan: {
    summary: "forecast the memory and time of training a model, before anything is tried",
    load: () => import("./commands/plan.ts"),
  },
  bench: {
    summary: "measure training steps here, whole and pruned; describe this machine to simulations",
    load: () => import("./commands/bench.ts"),
  },
  doctor: {
    summary: "check this machine: kernels, memory, versions",
    load: () => import("./commands/doctor.ts"),
  },
};

/** Runs the command line and returns its exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command("fedspine")
    .description("Federated LoRA fine-tuning for fleets of small Linux gateways")
    .version(packageVersion(), "-V, --version")
    .showSuggestionAfterError()
    .enablePositionalOptions()
    .exitOverride();
  const wanted = args.find((arg) => !arg.startsWith("-"));
  const isHelp = args[0] === "help" || args[0] === "--help" || args[0] === "-h";
  for (const [name, { summary, load }] of Object.entries(commands)) {
    if (name === wanted || (isHelp && args.includes(name))) {
      program.addCommand((await load()).command().name(name).exitOverride());
    } else {
      program.command(name).description(summary);
    }
  }
  try {
    await program.parseAsync(args, { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : ExitCode.ok;
  } catch (error) {
    return reportError(error);
  }
}

function reportError(error: unknown): number {
  // Commander has printed its own message; help and version end well.
  if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  if (error instanceof FedspineError) {
    process.stderr.write(`fedspine: ${error.message}\n`);
    if (process.env["FEDSPINE_TRACE"] === "1") process.stderr.write(`${error.stack}\n`);
    return error.exitCode;
  }
  if (isSystemError(error)) {
    process.stderr.write(`fedspine: ${error.message}\n`);
    return ExitCode.data;
  }
  process.stderr.write(`fedspine: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.stderr.write("hint: this is a bug in fedspine; please report it with the text above\n");
  return ExitCode.bug;
}

/** A file system's or network's no, such as a folder that may not be written. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error && "code" in error;
}

function packageVersion(): string {
  const path = new URL("../../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

// A closed pipe (`fedspine … | head`) is the reader's choice, not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(ExitCode.ok);
  throw error;
});
process.exitCode = await main(process.argv.slice(2));
