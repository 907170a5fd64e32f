/** `fedspine broker`: run the bundled MQTT broker as a child process in the foreground. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { ExitCode, FedspineError } from "../../base/errors.ts";

/** The broker is a program of its own; nothing here imports it. */
export const BROKER_PROGRAM = fileURLToPath(
  new URL("../../../broker/src/main.js", import.meta.url),
);

export function command(): Command {
  return new Command()
    .description("Run the bundled MQTT broker (aedes) in the foreground")
    .option("--host <address>", "address to listen on (default: 127.0.0.1)")
    .option("--port <n>", "TCP port, 0 for a free one (default: 1883)")
    .option("--ws-port <n>", "WebSocket port")
    .option("--config <file>", "broker.json, see broker/README.md")
    .action(run);
}

async function run(options: Record<string, string>): Promise<void> {
  const flags = { host: "--host", port: "--port", wsPort: "--ws-port", config: "--config" };
  const args = Object.entries(flags).flatMap(([key, flag]) =>
    options[key] === undefined ? [] : [flag, options[key]],
  );
  if (!existsSync(BROKER_PROGRAM)) {
    throw new FedspineError(
      "the bundled broker is not part of this installation",
      { hint: "run it from a checkout of fedspine, or use any MQTT 3.1.1 broker" },
      ExitCode.unavailable,
    );
  }
  const child = spawn(process.execPath, [BROKER_PROGRAM, ...args], { stdio: "inherit" });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on("SIGINT", forward);
  process.on("SIGTERM", forward);
  const [code] = (await once(child, "exit")) as [number | null];
  process.exitCode = code ?? 1;
}
