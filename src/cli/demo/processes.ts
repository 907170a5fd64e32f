/** The demo's child processes: started, listened to line by line, and never left behind. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { FedspineError } from "../../base/errors.ts";
import { DEVICE_FLAGS, RELAY_FLAGS, SMALL_ENVIRONMENT } from "../small-heap.ts";

/** How long a process may take to end by itself after SIGTERM. */
const STOP_TIMEOUT_MS = 5000;

export class Processes {
  readonly #logFolder: string;
  readonly #running = new Map<string, ChildProcess>();

  constructor(logFolder: string) {
    mkdirSync(logFolder, { recursive: true });
    this.#logFolder = logFolder;
  }

  /** Starts `node script args…`, each as its launcher does; stderr goes to a log file, each line of stdout to `onLine`. */
  start(
    name: string,
    script: string,
    args: readonly string[],
    onLine: (line: string) => void,
  ): { exited: Promise<number>; pid: number } {
    const flags = args[0] === "device" ? DEVICE_FLAGS : RELAY_FLAGS;
    const child = spawn(process.execPath, [...flags, script, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...SMALL_ENVIRONMENT },
    });
    const log = createWriteStream(join(this.#logFolder, `${name}.log`));
    child.stderr.pipe(log);
    createInterface({ input: child.stdout }).on("line", onLine);
    this.#running.set(name, child);
    const exited = new Promise<number>((resolve) => {
      child.once("error", () => resolve(-1));
      child.once("close", (code, signal) => {
        this.#running.delete(name);
        resolve(code ?? (signal === null ? -1 : 128));
      });
    });
    return { exited, pid: child.pid ?? -1 };
  }

  /** Path of a process's log. */
  logOf(name: string): string {
    return join(this.#logFolder, `${name}.log`);
  }

  /** Ends one process, if it still runs. */
  async stop(name: string): Promise<void> {
    const child = this.#running.get(name);
    if (child === undefined) return;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await once(child, "close");
    clearTimeout(timer);
  }

  async stopAll(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((name) => this.stop(name)));
  }

  /** For an exit that cannot wait. */
  killAll(): void {
    for (const child of this.#running.values()) child.kill("SIGKILL");
  }
}

/** Waits for the first line of a process that `read` understands. Throws FedspineError if it ends first. */
export async function firstLine<T>(
  processes: Processes,
  name: string,
  script: string,
  args: readonly string[],
  read: (line: string) => T | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const { exited } = processes.start(name, script, args, (line) => {
      const value = read(line);
      if (value !== undefined) resolve(value);
    });
    void exited.then((code) =>
      reject(
        new FedspineError(`the ${name} process ended before it was ready`, {
          got: `exit status ${code}`,
          hint: `see ${processes.logOf(name)}`,
        }),
      ),
    );
  });
}
