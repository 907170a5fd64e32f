/** Broker and coordinator as processes of their own, so that each has its own event loop and its own memory. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { BlobRef } from "../../src/transfer/blob-store.ts";
import { RELAY_FLAGS, SMALL_ENVIRONMENT } from "../../src/cli/small-heap.ts";

const BROKER = fileURLToPath(new URL("../../broker/src/main.js", import.meta.url));
const HUB = fileURLToPath(new URL("./hub-process.js", import.meta.url));
/** All devices of a bench come from one address. */
const CONFIG = fileURLToPath(new URL("../../../bench/transport/broker.json", import.meta.url));

export class Child {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once("exit", resolve));
  }

  /** Starts a program; resolves with its first line. */
  static async start<Line>(program: string, args: readonly string[]): Promise<[Child, Line]> {
    const spawned = spawn(process.execPath, [...RELAY_FLAGS, program, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...SMALL_ENVIRONMENT },
    });
    const child = new Child(spawned);
    for await (const line of createInterface({ input: spawned.stdout })) {
      return [child, JSON.parse(line) as Line];
    }
    throw new RangeError(`${program} has ended before it was ready`);
  }

  /** Resident memory in bytes now, and at most so far; zeros where the system has no /proc. */
  memory(): { nowBytes: number; peakBytes: number } {
    try {
      const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
      const of = (field: string): number =>
        1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
      return { nowBytes: of("VmRSS"), peakBytes: of("VmHWM") };
    } catch {
      return { nowBytes: 0, peakBytes: 0 };
    }
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}

/** Starts the bundled broker; 0 picks a free port. */
export async function startBrokerProcess(port = 0): Promise<{ child: Child; port: number }> {
  const args = ["--port", String(port), "--config", CONFIG];
  const [child, { listening }] = await Child.start<{ listening: { port: number } }>(BROKER, args);
  return { child, port: listening.port };
}

/** Starts a coordinator that serves one blob; see hub-process.ts. */
export async function startHub(
  port: number,
  folder: string,
  sizeBytes: number,
): Promise<{ child: Child; blob: BlobRef }> {
  const [child, blob] = await Child.start<BlobRef>(HUB, [String(port), folder, String(sizeBytes)]);
  return { child, blob };
}
