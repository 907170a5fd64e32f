/** A fine-tuning run on disk: trained tensors, moments and position, written so that a crash leaves the last one whole. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { readJson, writeJson } from "../io/json.ts";
import { writeSafetensors } from "../io/safetensors-writer.ts";
import { readAll, Safetensors } from "../io/safetensors.ts";
import type { FineTuneState } from "./fine-tune.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const schema = v.object({
  step: count,
  optimizerStep: count,
  position: v.object({ epoch: count, next: count }),
  /** The tensor file that belongs to this state. */
  tensors: v.string(),
  /** Identifies the run's settings: a continuation must have the same. */
  settings: v.record(v.string(), v.unknown()),
});

export interface TrainCheckpoint {
  readonly state: FineTuneState;
  /** Trained tensors by full name. */
  readonly values: NamedArrays;
  readonly settings: Readonly<Record<string, unknown>>;
}

const STATE_FILE = "state.json";
const MOMENT_PREFIX = "optimizer.";

/** Writes tensors first and then, atomically, the state that names them. */
export function writeCheckpoint(
  folder: string,
  { state, values, settings }: TrainCheckpoint,
): void {
  mkdirSync(folder, { recursive: true });
  const { step, optimizer } = state.trainer;
  const tensors = `tensors-${step}.safetensors`;
  const all: NamedArrays = new Map(values);
  for (const [name, moment] of optimizer.moments) all.set(MOMENT_PREFIX + name, moment);
  writeSafetensors(join(folder, tensors), all);
  const before = tryReadState(folder)?.tensors;
  writeJson(join(folder, STATE_FILE), {
    step,
    optimizerStep: optimizer.step,
    position: state.position,
    tensors,
    settings,
  });
  if (before !== undefined && before !== tensors) rmSync(join(folder, before), { force: true });
}

/** Reads the last checkpoint. Throws CheckpointError when there is none or it was made with other settings. */
export function readCheckpoint(
  folder: string,
  settings: Readonly<Record<string, unknown>>,
): TrainCheckpoint {
  const stored = tryReadState(folder);
  if (stored === undefined) {
    throw new CheckpointError(`${folder}: no checkpoint to continue from`, {
      hint: "start without --resume, or with --checkpoint-every",
    });
  }
  for (const [key, value] of Object.entries(settings)) {
    const before =
      key in stored.settings ? JSON.stringify(stored.settings[key]) : "no such setting";
    if (before === JSON.stringify(value)) continue;
    throw new CheckpointError(`${folder}: the checkpoint was made with another ${key}`, {
      expected: before,
      got: JSON.stringify(value),
      hint: "continue with the same settings",
    });
  }
  const values: NamedArrays = new Map();
  const moments: NamedArrays = new Map();
  const file = Safetensors.open(join(folder, stored.tensors));
  const arrays = readAll(file);
  file.close();
  for (const [name, array] of arrays) {
    if (name.startsWith(MOMENT_PREFIX)) moments.set(name.slice(MOMENT_PREFIX.length), array);
    else values.set(name, array);
  }
  const optimizer = { step: stored.optimizerStep, moments };
  return {
    state: { trainer: { step: stored.step, optimizer }, position: stored.position },
    values,
    settings: stored.settings,
  };
}

function tryReadState(folder: string): v.InferOutput<typeof schema> | undefined {
  const path = join(folder, STATE_FILE);
  if (!existsSync(path)) return undefined;
  const result = v.safeParse(schema, readJson(path));
  if (result.success) return result.output;
  throw new CheckpointError(`${path} is damaged`, {
    got: result.issues[0].message,
  });
}
