/** What a run leaves on disk: its settings, its journal, one line per event, and the adapter of the last round that is done. */
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { AdapterState } from "../base/adapter.ts";
import type { NamedArrays } from "../base/arrays.ts";
import { ConfigError } from "../base/errors.ts";
import { writeFileAtomic } from "../io/atomic-file.ts";
import { writeJson } from "../io/json.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../io/adapter-file.ts";
import type { CoordinatorConfig } from "./config.ts";
import { scaleOf } from "./plan.ts";
import type { RunEvent, RunSummary } from "./run-events.ts";
import { readRunRecord } from "./run-journal.ts";
import type { CheckpointRecord } from "./run-record.ts";
import { serverRankOf } from "./strategy-config.ts";

/** Parts of a checkpoint that only steering knows. */
export interface FleetRecord extends Readonly<CheckpointRecord["fleet"]> {
  /** The fleet's mean scores; they are kept in the adapter's file. */
  readonly meanScores: NamedArrays;
}

export interface Checkpoint extends Omit<CheckpointRecord, "adapterFile" | "fleet"> {
  readonly adapter: AdapterState;
  readonly fleet: FleetRecord;
}

/** An adapter on the disk. */
export interface SavedAdapter {
  /** Name in the folder. */
  readonly file: string;
  readonly path: string;
  readonly sizeBytes: number;
}

const ADAPTER_NAME = /^adapter-round-\d+\.safetensors$/;

export class RunFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Where the blob store of the run belongs. */
  get blobFolder(): string {
    return join(this.path, "blobs");
  }

  begin(config: CoordinatorConfig): void {
    writeJson(join(this.path, "config.json"), config);
  }

  /** Appends one line; the order of keys is the order of the event's type, so lines can be searched as text. */
  log(atMs: number, event: RunEvent): void {
    mkdirSync(this.path, { recursive: true });
    appendFileSync(
      join(this.path, "events.jsonl"),
      `${JSON.stringify({ at: Math.round(atMs), ...event })}\n`,
    );
  }

  /** Nobody looks at the file before a record of the journal points to it. Throws DataError when the disk refuses. */
  saveAdapter(round: number, adapter: AdapterState, scores: NamedArrays): SavedAdapter {
    const file = `adapter-round-${round}.safetensors`;
    const path = join(this.path, file);
    const bytes = encodeAdapterFile({ ...adapter, scores });
    writeFileAtomic(path, [bytes]);
    return { file, path, sizeBytes: bytes.byteLength };
  }

  /** Removes the adapters that no record points to, and what a crash has left half written. */
  tidy(adapterFile: string | null): void {
    for (const name of readdirSync(this.path)) {
      const isOld = ADAPTER_NAME.test(name) && name !== adapterFile;
      if (isOld || name.endsWith(".part")) rmSync(join(this.path, name), { force: true });
    }
  }

  /** The last checkpoint, or undefined when no round is done. Throws CheckpointError when it is damaged. */
  load(record = readRunRecord(this.path)): Checkpoint | undefined {
    const found = record?.checkpoint ?? null;
    if (found === null) return undefined;
    const { adapterFile, fleet, ...rest } = found;
    const path = join(this.path, adapterFile);
    const file = decodeAdapterFile(readFileSync(path), path, rest.scale);
    const adapter = { modules: file.modules, heads: file.heads };
    return { ...rest, adapter, fleet: { ...fleet, meanScores: file.scores } };
  }

  /** Writes so many bytes and removes them again. Throws what the file system throws while it takes nothing. */
  probe(sizeBytes: number): void {
    const path = join(this.path, "probe.part");
    try {
      writeFileSync(path, new Uint8Array(sizeBytes), { flush: true });
    } finally {
      rmSync(path, { force: true });
    }
  }

  /** Leaves the record of a run that has ended. */
  conclude(summary: RunSummary): void {
    writeJson(join(this.path, "summary.json"), summary);
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
