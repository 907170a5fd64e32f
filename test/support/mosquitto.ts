/** A mosquitto process of its own on a free port, for tests against a broker that is not ours. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, connect } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { mosquittoConf, type MosquittoOptions } from "../../src/cli/mosquitto-conf.ts";

/** Why tests skip when `mosquittoPath` finds nothing. */
export const mosquittoAbsent = "mosquitto is not installed";

export interface Mosquitto {
  /** TCP listener on 127.0.0.1. */
  readonly port: number;
  /** Ends the process as a crash does. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** The path of the executable, or undefined when it is not installed. */
export function mosquittoPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return [...folders, "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]
    .map((folder) => join(folder, "mosquitto"))
    .find((path) => existsSync(path));
}

/** Starts mosquitto with the recommended settings and `extraConfig` lines and waits until it accepts connections. */
export async function startMosquitto(
  extraConfig: readonly string[] = [],
  options: Partial<MosquittoOptions> = {},
): Promise<Mosquitto> {
  const path = mosquittoPath();
  if (path === undefined) throw new Error(mosquittoAbsent);
  const folder = await mkdtemp(join(tmpdir(), "fedspine-mosquitto-"));
  const port = await freePort();
  const config = mosquittoConf({ host: "127.0.0.1", port, ...options });
  const file = join(folder, "mosquitto.conf");
  // Started by root it becomes another user, who may not read the folders of a test.
  const user = process.getuid?.() === 0 ? ["user root"] : [];
  await writeFile(file, `${config}${[...user, ...extraConfig].join("\n")}\n`);
  const child = spawn(path, ["-c", file], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (text: Buffer) => (log += text.toString()));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  const endMs = performance.now() + 5000;
  while (!(await accepts(port))) {
    if (performance.now() > endMs || child.exitCode !== null) {
      await end("SIGKILL");
      throw new Error(`mosquitto did not start: ${log}`);
    }
  }
  return { port, kill: () => end("SIGKILL"), close: () => end("SIGTERM") };
}

/** A TCP port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Whether somebody listens on a port of 127.0.0.1. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => setTimeout(() => resolve(false), 10));
  });
}
