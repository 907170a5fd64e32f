/** What a run leaves on disk: its settings, one line per event, and a checkpoint from which it can go on. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { AdapterState } from "../base/adapter.ts";
import { ConfigError } from "../base/errors.ts";
import { parseSettings } from "../base/settings.ts";
import { writeFileAtomic } from "../io/atomic-file.ts";
import { readJson, writeJson } from "../io/json.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../io/adapter-file.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { RunEvent } from "./run-events.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const evaluation = v.nullable(
  v.object({ accuracy: v.number(), loss: v.number(), macroF1: v.number() }),
);

/** run.json: `run` names the run in what devices keep, `epoch` is the incarnation that wrote the file. */
const identitySchema = v.object({ run: v.string(), epoch: count });

/** checkpoint.json: points to the adapter of the last round that is done and says what it fits. */
const checkpointSchema = v.object({
  round: count,
  adapterFile: v.string(),
  rank: count,
  alpha: v.number(),
  /** Root of each base file by name. */
  base: v.record(v.string(), v.string()),
  before: evaluation,
  after: evaluation,
});

export type CheckpointRecord = v.InferOutput<typeof checkpointSchema>;

export interface Checkpoint extends CheckpointRecord {
  readonly adapter: AdapterState;
}

export class RunFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Where the blob store of the run belongs. */
  get blobFolder(): string {
    return join(this.path, "blobs");
  }

  /** The run's name and last incarnation, or undefined in a new folder. */
  identity(): { run: string; epoch: number } | undefined {
    const file = join(this.path, "run.json");
    return existsSync(file) ? parseSettings(file, identitySchema, readJson(file)) : undefined;
  }

  begin(identity: { run: string; epoch: number }, config: CoordinatorConfig): void {
    mkdirSync(this.path, { recursive: true });
    writeJson(join(this.path, "config.json"), config);
    writeJson(join(this.path, "run.json"), identity);
  }

  /** Appends one line; the order of keys is the order of the event's type, so lines can be searched as text. */
  log(atMs: number, event: RunEvent): void {
    appendFileSync(
      join(this.path, "events.jsonl"),
      `${JSON.stringify({ at: Math.round(atMs), ...event })}\n`,
    );
  }

  /** Writes the adapter, then points checkpoint.json to it, then removes the one before: a crash leaves one of them whole. */
  save(
    adapter: AdapterState,
    record: Omit<CheckpointRecord, "adapterFile">,
  ): { path: string; adapterBytes: number } {
    const before = this.#record();
    const adapterFile = `adapter-round-${record.round}.safetensors`;
    const path = join(this.path, adapterFile);
    const bytes = encodeAdapterFile(adapter);
    writeFileAtomic(path, [bytes]);
    writeJson(join(this.path, "checkpoint.json"), { ...record, adapterFile });
    if (before !== undefined && before.adapterFile !== adapterFile) {
      rmSync(join(this.path, before.adapterFile), { force: true });
    }
    return { path, adapterBytes: bytes.byteLength };
  }

  /** The last checkpoint, or undefined when no round is done. Throws CheckpointError when it is damaged. */
  load(): Checkpoint | undefined {
    const record = this.#record();
    if (record === undefined) return undefined;
    const path = join(this.path, record.adapterFile);
    return {
      ...record,
      adapter: decodeAdapterFile(readFileSync(path), path, record.alpha / record.rank),
    };
  }

  #record(): CheckpointRecord | undefined {
    const file = join(this.path, "checkpoint.json");
    return existsSync(file) ? parseSettings(file, checkpointSchema, readJson(file)) : undefined;
  }
}

/** Throws ConfigError when the settings no longer fit the adapter of the checkpoint. */
export function expectSameModel(
  checkpoint: CheckpointRecord,
  config: CoordinatorConfig,
  base: Readonly<Record<string, string>>,
): void {
  const { rank, alpha } = config.plan;
  if (checkpoint.rank !== rank || checkpoint.alpha !== alpha) {
    throw new ConfigError("the run cannot be resumed with another rank or alpha", {
      expected: `rank ${checkpoint.rank} and alpha ${checkpoint.alpha}`,
      got: `rank ${rank} and alpha ${alpha}`,
    });
  }
  const names = new Set([...Object.keys(checkpoint.base), ...Object.keys(base)]);
  const changed = [...names].filter((name) => checkpoint.base[name] !== base[name]);
  if (changed.length === 0) return;
  throw new ConfigError("the run cannot be resumed with another base model", {
    got: `changed files: ${changed.join(", ")}`,
  });
}
