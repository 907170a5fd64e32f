/** What a run leaves on disk: its settings, one line per event, and a checkpoint from which it can go on. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { AdapterState } from "../base/adapter.ts";
import type { NamedArrays } from "../base/arrays.ts";
import { ConfigError } from "../base/errors.ts";
import { parseSettings } from "../base/settings.ts";
import { writeFileAtomic } from "../io/atomic-file.ts";
import { readJson, writeJson } from "../io/json.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../io/adapter-file.ts";
import type { CoordinatorConfig } from "./config.ts";
import { knowledgeSchema } from "./fleet-knowledge.ts";
import { scaleOf } from "./plan.ts";
import type { RunEvent, RunSummary } from "./run-events.ts";
import { serverRankOf } from "./strategy-config.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const scoreEntries = { accuracy: v.number(), loss: v.number(), macroF1: v.number() };
const evaluation = v.nullable(
  v.object({
    ...scoreEntries,
    numDevices: v.exactOptional(count),
    worst: v.exactOptional(v.object({ ...scoreEntries, device: v.string() })),
  }),
);

/** What steering needs to go on exactly: models of the devices, and the controller with all that it has learnt. */
const fleetSchema = v.object({
  devices: knowledgeSchema,
  controller: v.object({ kind: v.string(), state: v.unknown() }),
  /** Sizes of the updates that counted; null without a bound on them. */
  norms: v.optional(v.unknown(), null),
});

/** run.json: `run` names the run in what devices keep, `epoch` is the incarnation that wrote the file. */
const identitySchema = v.object({ run: v.string(), epoch: count });

/** checkpoint.json: points to the adapter of the last round that is done and says what it fits. */
const checkpointSchema = v.object({
  round: count,
  adapterFile: v.string(),
  /** LoRA rank of the global adapter. */
  rank: count,
  /** alpha / R of every adapter of the run. */
  scale: v.pipe(v.number(), v.gtValue(0)),
  /** Root of each base file by name. */
  base: v.record(v.string(), v.string()),
  before: evaluation,
  after: evaluation,
  fleet: fleetSchema,
});

export type CheckpointRecord = v.InferOutput<typeof checkpointSchema>;

/** Parts of a checkpoint that only steering knows. */
export interface FleetRecord extends v.InferOutput<typeof fleetSchema> {
  /** The fleet's mean scores; they are kept in the adapter's file. */
  readonly meanScores: NamedArrays;
}

export interface Checkpoint extends Omit<CheckpointRecord, "adapterFile" | "fleet"> {
  readonly adapter: AdapterState;
  readonly fleet: FleetRecord;
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
  save({ adapter, fleet, ...record }: Checkpoint): { path: string; adapterBytes: number } {
    const before = this.#record();
    const adapterFile = `adapter-round-${record.round}.safetensors`;
    const path = join(this.path, adapterFile);
    const { meanScores: scores, ...kept } = fleet;
    const bytes = encodeAdapterFile({ ...adapter, scores });
    writeFileAtomic(path, [bytes]);
    writeJson(join(this.path, "checkpoint.json"), { ...record, adapterFile, fleet: kept });
    if (before !== undefined && before.adapterFile !== adapterFile) {
      rmSync(join(this.path, before.adapterFile), { force: true });
    }
    return { path, adapterBytes: bytes.byteLength };
  }

  /** The last checkpoint, or undefined when no round is done. Throws CheckpointError when it is damaged. */
  load(): Checkpoint | undefined {
    const found = this.#record();
    if (found === undefined) return undefined;
    const { adapterFile, fleet, ...record } = found;
    const path = join(this.path, adapterFile);
    const file = decodeAdapterFile(readFileSync(path), path, record.scale);
    const adapter = { modules: file.modules, heads: file.heads };
    return { ...record, adapter, fleet: { ...fleet, meanScores: file.scores } };
  }

  /** Leaves the record of a run that has ended. */
  conclude(summary: RunSummary): void {
    writeJson(join(this.path, "summary.json"), summary);
  }

  #record(): CheckpointRecord | undefined {
    const file = join(this.path, "checkpoint.json");
    return existsSync(file) ? parseSettings(file, checkpointSchema, readJson(file)) : undefined;
  }
}

/** Throws ConfigError when the settings no longer fit the adapter and the controller of the checkpoint. */
export function expectSameModel(
  checkpoint: Pick<Checkpoint, "rank" | "scale" | "base" | "fleet">,
  config: CoordinatorConfig,
  base: Readonly<Record<string, string>>,
): void {
  const [rank, scale] = [serverRankOf(config), scaleOf(config)];
  if (checkpoint.rank !== rank || checkpoint.scale !== scale) {
    throw new ConfigError("the run cannot be resumed with another rank or alpha", {
      expected: `a global adapter of rank ${checkpoint.rank} and alpha / rank ${checkpoint.scale}`,
      got: `rank ${rank} and alpha / rank ${scale}`,
    });
  }
  const { kind } = checkpoint.fleet.controller;
  if (kind !== config.controller.kind) {
    throw new ConfigError("the run cannot be resumed with another controller", {
      expected: kind,
      got: config.controller.kind,
    });
  }
  const names = new Set([...Object.keys(checkpoint.base), ...Object.keys(base)]);
  const changed = [...names].filter((name) => checkpoint.base[name] !== base[name]);
  if (changed.length === 0) return;
  throw new ConfigError("the run cannot be resumed with another base model", {
    got: `changed files: ${changed.join(", ")}`,
  });
}
