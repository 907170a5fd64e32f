/** A redis-server process of its own on a free port, for tests of brokers that share one. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { tmpdir } from "node:os";
import { eventually } from "./eventually.ts";
import { accepts, freePort } from "./mosquitto.ts";

/** Why tests skip when `redisPath` finds nothing. */
export const redisAbsent = "redis-server is not installed";

export interface RedisServer {
  readonly url: string;
  close(): Promise<void>;
}

/** The path of the executable, or undefined when it is not installed. */
export function redisPath(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return [...folders, "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
    .map((folder) => join(folder, "redis-server"))
    .find((path) => existsSync(path));
}

/** Starts redis-server in memory only and waits until it accepts connections. */
export async function startRedis(): Promise<RedisServer> {
  const port = await freePort();
  const settings = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmpdir()];
  const child = spawn(redisPath() ?? "redis-server", settings, { stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let isOpen = false;
  await eventually("redis-server listens", () => {
    if (!isOpen) void accepts(port).then((answer) => (isOpen ||= answer));
    return isOpen;
  });
  return {
    url: `redis://127.0.0.1:${port}`,
    async close() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
