/** A simulation of a tiny model on a handful of devices, with everything that chance can do to them. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Rng } from "../../src/base/rng.ts";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import {
  builtInFleet,
  parseSimulationConfig,
  type SimulationConfigInput,
} from "../../src/simulation/config.ts";
import type { SimulationSummary } from "../../src/simulation/simulation-summary.ts";
import { runSimulation } from "../../src/simulation/simulation.ts";
import { copyTinyModel, tinyWords } from "./tiny-model.ts";

export interface SimulationRun {
  readonly summary: SimulationSummary;
  readonly events: readonly RunEvent[];
}

/** Writes base and data once; every run has a folder of its own below. */
export class SmallSimulation {
  readonly #folder: string;
  readonly #settings: Partial<SimulationConfigInput>;

  constructor(folder: string, settings: Partial<SimulationConfigInput> = {}) {
    this.#folder = folder;
    this.#settings = settings;
    copyTinyModel("bert-classify", join(folder, "base"), { tokenizer: "encoder" });
    writeFileSync(join(folder, "data.tsv"), sentences());
  }

  /** Digests of the files of a run that must not depend on how it was played, by name. */
  leftovers(name: string): Record<string, string> {
    const folder = join(this.#folder, name);
    // The two name the folder.
    const isKept = (file: string): boolean => !/^(config|simulation)\.json$/.test(file);
    const digest = (file: string): string =>
      createHash("sha256")
        .update(readFileSync(join(folder, file)))
        .digest("hex");
    const entries = readdirSync(folder, { recursive: true, encoding: "utf8" });
    const files = entries.filter((path) => statSync(join(folder, path)).isFile() && isKept(path));
    // Its number says how often the journal was taken.
    const nameOf = (file: string): string => file.replace(/\d+\.jsonl$/, "jsonl");
    return Object.fromEntries(files.sort().map((file) => [nameOf(file), digest(file)]));
  }

  async run(
    name: string,
    options: {
      readonly workers?: number;
      readonly resume?: boolean;
      readonly interruptAt?: (event: RunEvent) => boolean;
    } = {},
  ): Promise<SimulationRun> {
    const folder = join(this.#folder, name);
    mkdirSync(folder, { recursive: true });
    const settings = parseSimulationConfig({
      data: { source: join(this.#folder, "data.tsv"), maxTestExamples: 16 },
      fleet: { profile: "gateways", devices: 5 },
      ...this.#settings,
      coordinator: {
        rounds: 3,
        memoryReserveBytes: 0,
        plan: { rank: 4, alpha: 8, targets: "all-linear", steps: 2, batchSize: 4, maxTokens: 16 },
        ...this.#settings.coordinator,
      },
    });
    const stop = new AbortController();
    const events: RunEvent[] = [];
    const summary = await runSimulation(settings, {
      base: join(this.#folder, "base"),
      fleet: builtInFleet(settings.fleet.profile),
      outFolder: folder,
      numWorkers: options.workers ?? 1,
      resume: options.resume ?? false,
      onEvent: (event) => {
        events.push(event);
        if (options.interruptAt?.(event) === true) stop.abort(new RangeError("interrupted"));
      },
      onNote: () => undefined,
      signal: stop.signal,
    });
    return { summary, events };
  }
}

/** Three classes, as the tiny model has, that single words tell apart. */
export function sentences(): string {
  const rng = Rng.fromSeed("sentences");
  const labels = ["error", "leak", "fine"] as const;
  const lines = Array.from({ length: 120 }, () => {
    const words = Array.from({ length: 3 + rng.int(8) }, () => rng.pick(tinyWords));
    const label = rng.pick(labels);
    return `${words.join(" ")} ${label}\t${label}`;
  });
  return `text\tlabel\n${lines.join("\n")}\n`;
}
