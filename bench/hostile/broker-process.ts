/** The bundled broker in a process of its own, for benches that watch what it holds. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../broker/src/main.js", import.meta.url));

export class BrokerProcess {
  readonly port: number;
  readonly #child: ChildProcess;
  #isOver = false;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
    child.once("exit", () => (this.#isOver = true));
  }

  static async start(args: readonly string[]): Promise<BrokerProcess> {
    const child = spawn(process.execPath, ["--expose-gc", PROGRAM, "--port", "0", ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const { listening } = JSON.parse(line) as { listening: { port: number } };
      return new BrokerProcess(child, listening.port);
    }
    throw new RangeError("the broker has ended before it listened");
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resident memory in bytes; 0 where the system has no /proc. */
  residentBytes(): number {
    try {
      const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
    } catch {
      return 0;
    }
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    if (!this.#isOver) await ended;
  }
}
