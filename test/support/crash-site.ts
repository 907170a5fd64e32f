/** A coordinator, a broker and devices as processes that are started again whenever they die, as a supervisor would. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { CoordinatorConfigInput } from "../../src/coordinator/config.ts";
import type { DeviceConfigInput } from "../../src/device/config.ts";
import { eventually } from "./eventually.ts";
import { must } from "./must.ts";
import { NodeProcess } from "./node-process.ts";

export interface CrashSiteOptions {
  readonly folder: string;
  readonly devices: readonly string[];
  readonly rounds: number;
  /** Sleep of the first device per step of training, of which there are four a round. */
  readonly stepMs: number;
  /** Writes of its journal at which the coordinator's first processes die; see coordinator-process.ts. */
  readonly dieAt: readonly number[];
}

export interface Ending {
  readonly ok: boolean;
  readonly reason: string;
  /** Rounds in which an update of each device counted. */
  readonly rounds: readonly (readonly [string, number])[];
}

interface Line {
  readonly listening?: { readonly port: number };
  readonly summary?: Ending;
}

type Child = NodeProcess<Line>;

const START_MS = 30_000;
/** Before a process that died is started again. */
const RESTART_MS = 30;

export class CrashSite {
  readonly runFolder: string;
  readonly base: string;
  /** What went wrong in a way that no kill explains. */
  readonly faults: string[] = [];
  numStarts = 0;
  ending: Ending | null = null;
  readonly #options: CrashSiteOptions;
  readonly #children = new Map<string, Child>();
  #port = 0;
  #isOver = false;
  #numCoordinators = 0;

  constructor(options: CrashSiteOptions) {
    const { folder } = options;
    this.#options = options;
    this.runFolder = join(folder, "run");
    this.base = join(folder, "base");
    mkdirSync(this.base, { recursive: true });
    writeFileSync(join(this.base, "model.safetensors"), Buffer.alloc(300_000, "weights"));
  }

  async open(): Promise<void> {
    const { devices } = this.#options;
    this.#keep("broker");
    const broker = must(this.#children.get("broker"));
    await eventually("the broker listens", () => broker.lines.length > 0, START_MS);
    this.#port = must(must(broker.lines[0]).listening).port;
    this.#configure();
    for (const name of ["coordinator", ...devices]) this.#keep(name);
  }

  /** Ends one of them without a chance to say anything. */
  async kill(name: string): Promise<void> {
    await this.#children.get(name)?.kill();
  }

  isRunning(name: string): boolean {
    return this.#children.has(name);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.all([...this.#children.values()].map((child) => child.kill()));
  }

  folderOf(device: string): string {
    return join(this.#options.folder, device);
  }

  #configure(): void {
    const { folder, devices, rounds } = this.#options;
    const broker = `mqtt://127.0.0.1:${this.#port}`;
    const coordinator: CoordinatorConfigInput = {
      ...{ broker, base: this.base, runFolder: this.runFolder, labels: ["no", "yes"] },
      ...{ rounds, minDevices: devices.length, quorum: 1, maxAttempts: 100 },
      plan: { rank: 3, alpha: 6, steps: 4, targets: "all-linear" },
      aggregation: { kind: "lora-residual" },
      ...{ heartbeatMs: 300, roundTimeoutMs: 60_000, joinTimeoutMs: 60_000 },
      connectTimeoutMs: 60_000,
    };
    writeFileSync(join(folder, "coordinator.json"), JSON.stringify(coordinator));
    for (const id of devices) {
      const settings = { id, broker, stateFolder: this.folderOf(id), data: "none" };
      const device: DeviceConfigInput = { ...settings, connectTimeoutMs: 60_000 };
      writeFileSync(join(folder, `${id}.json`), JSON.stringify(device));
    }
  }

  #spawn(name: string): Child {
    const { folder, devices, stepMs, dieAt } = this.#options;
    this.numStarts += 1;
    if (name === "broker") {
      return new NodeProcess("broker/src/main.js", ["--port", String(this.#port)]);
    }
    if (name === "coordinator") {
      const at = String(dieAt[this.#numCoordinators++] ?? 0);
      const config = join(folder, "coordinator.json");
      const env = { FEDSPINE_DIE_AT: at };
      return new NodeProcess("test/support/coordinator-process.js", [config], env);
    }
    const config = join(folder, `${name}.json`);
    // Of different speeds, so that some deliver while others train.
    const pace = String(stepMs * (1 + devices.indexOf(name)));
    return new NodeProcess("test/support/device-process.js", [config, pace]);
  }

  #keepUnlessOver(name: string): void {
    if (!this.#isOver) this.#keep(name);
  }

  #keep(name: string): void {
    const child = this.#spawn(name);
    this.#children.set(name, child);
    void child.exited.then(async (code) => {
      this.#children.delete(name);
      const summary = child.lines.at(-1)?.summary;
      if (summary !== undefined) this.ending = summary;
      const isDone = code === 0 && name !== "broker";
      if (code !== null && !isDone) this.faults.push(`${name} ended with ${code}: ${child.errors}`);
      if (isDone || this.#isOver) return;
      await pause(RESTART_MS);
      this.#keepUnlessOver(name);
    });
  }
}
