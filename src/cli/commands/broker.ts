/** `fedspine broker`: run the bundled MQTT broker as a child process in the foreground; with a fleet's keys also its enrolment server. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { ExitCode, FedspineError } from "../../base/errors.ts";
import { RELAY_FLAGS, SMALL_ENVIRONMENT } from "../small-heap.ts";
import { brokerDoctor } from "./broker-doctor.ts";
import { mosquittoConfCommand } from "./mosquitto-conf.ts";
import { readJsonObject } from "../../io/json.ts";
import { FleetFolder } from "../../security/fleet-folder.ts";
import { DEFAULT_ENROLMENT_PORT, openEnrolment } from "../enrolment-desk-run.ts";
import { writeBrokerConfig } from "../fleet-broker.ts";
import { integer } from "../options.ts";

/** The broker is a program of its own; nothing here imports it. */
export const BROKER_PROGRAM = fileURLToPath(
  new URL("../../../broker/src/main.js", import.meta.url),
);

interface Options {
  host?: string;
  port?: string;
  wsPort?: string;
  config?: string;
  fleetFolder?: string;
  enrollPort: number;
  insecure?: boolean;
}

export function command(): Command {
  return (
    new Command()
      // What follows a subcommand is the subcommand's: both have a --port.
      .enablePositionalOptions()
      .description("Run the bundled MQTT broker (aedes) in the foreground")
      .option("--host <address>", "address to listen on (default: 127.0.0.1)")
      .option("--port <n>", "TCP port, 0 for a free one (default: 1883, with TLS 8883)")
      .option("--ws-port <n>", "WebSocket port")
      .option("--config <file>", "broker.json, see broker/README.md")
      .option(
        "--fleet-folder <dir>",
        "keys of a fleet: TLS, rights by identity, enrolment by HTTPS",
      )
      .option("--enroll-port <n>", "HTTPS port for enrolments", integer(0), DEFAULT_ENROLMENT_PORT)
      .option(
        "--insecure",
        "listen beyond loopback although everybody may read and write everything",
      )
      .addCommand(brokerDoctor())
      .addCommand(mosquittoConfCommand())
      .action(run)
  );
}

async function run(options: Options): Promise<void> {
  if (!existsSync(BROKER_PROGRAM)) {
    throw new FedspineError(
      "the bundled broker is not part of this installation",
      { hint: "run it from a checkout of fedspine, or use any MQTT 3.1.1 broker" },
      ExitCode.unavailable,
    );
  }
  const { fleetFolder, host = "127.0.0.1", enrollPort: port } = options;
  const fleet = fleetFolder === undefined ? null : FleetFolder.open(resolve(fleetFolder));
  const enrolment = fleet === null ? null : await openEnrolment(fleet, { host, port });
  try {
    process.exitCode = await runProgram(argumentsFor(options, fleet));
  } finally {
    await enrolment?.close();
  }
}

function argumentsFor(options: Options, fleet: FleetFolder | null): string[] {
  const { host, port, wsPort, config, fleetFolder = "", insecure } = options;
  const others = config === undefined || fleet === null ? {} : readJsonObject(config);
  const file = fleet === null ? config : writeBrokerConfig(fleet, resolve(fleetFolder), others);
  const flags = { "--host": host, "--port": port, "--ws-port": wsPort, "--config": file };
  const given = Object.entries(flags).flatMap(([flag, value]) =>
    value === undefined ? [] : [flag, value],
  );
  return insecure === true ? [...given, "--insecure"] : given;
}

/** Resolves with the exit status; signals are passed on. */
async function runProgram(args: readonly string[]): Promise<number> {
  const stdio = ["inherit", "inherit", "inherit", "ipc"] as const;
  const child = spawn(process.execPath, [...RELAY_FLAGS, BROKER_PROGRAM, ...args], {
    stdio: [...stdio],
    env: { ...process.env, ...SMALL_ENVIRONMENT },
  });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on("SIGINT", forward);
  process.on("SIGTERM", forward);
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
