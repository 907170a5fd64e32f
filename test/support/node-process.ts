/** A Node process of its own that reports by JSON lines, for tests that kill what they test. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The folder that the compiled tests and sources lie in. */
const DIST = new URL("../../", import.meta.url);

export class NodeProcess<Line> {
  readonly lines: Line[] = [];
  readonly exited: Promise<number | null>;
  readonly #child: ChildProcess;
  #errors = "";

  /** `program` is a path below dist; `env` is added to this process's. */
  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
    const path = fileURLToPath(new URL(program, DIST));
    const child = spawn(process.execPath, [path, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) =>
      this.lines.push(JSON.parse(line) as Line),
    );
    child.stderr.on("data", (text: Buffer) => (this.#errors += text.toString()));
    this.exited = new Promise((resolve) => this.#child.once("close", resolve));
  }

  /** What it wrote to stderr. */
  get errors(): string {
    return this.#errors;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it without a chance to say anything. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }
}
