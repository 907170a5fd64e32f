/** Training checkpoints on disk: round trips, what is refused, and what a crash leaves. */
import assert from "node:assert/strict";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { hostArray } from "../../src/base/arrays.ts";
import { CheckpointError } from "../../src/base/errors.ts";
import { writeSafetensors } from "../../src/io/safetensors-writer.ts";
import {
  readCheckpoint,
  writeCheckpoint,
  type TrainCheckpoint,
} from "../../src/train/checkpoint.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SETTINGS = { rank: 4, clip: null, lr: 0.001 };

function checkpoint(step: number): TrainCheckpoint {
  const filled = (value: number) => hostArray([2, 2], new Float32Array(4).fill(value));
  return {
    state: {
      trainer: {
        step,
        optimizer: {
          step: step + 1,
          moments: new Map([
            ["q.lora_A.weight.exp_avg", filled(step + 0.25)],
            ["q.lora_A.weight.exp_avg_sq", filled(step + 0.75)],
          ]),
        },
      },
      position: { epoch: 2, next: step },
    },
    values: new Map([["q.lora_A.weight", filled(step + 0.5)]]),
    settings: SETTINGS,
  };
}

function refused(folder: string, settings: Record<string, unknown>, pattern: RegExp): void {
  assert.throws(
    () => readCheckpoint(folder, settings),
    (error) => error instanceof CheckpointError && pattern.test(error.message),
  );
}

test("what is written is read back, and only the last state's tensors stay", (context) => {
  const folder = join(temporaryFolder(context), "checkpoint");
  for (const step of [3, 6]) {
    writeCheckpoint(folder, checkpoint(step));
    assert.deepEqual(readCheckpoint(folder, SETTINGS), checkpoint(step));
    assert.deepEqual(readdirSync(folder).sort(), ["state.json", `tensors-${step}.safetensors`]);
  }
  writeCheckpoint(folder, checkpoint(6));
  assert.deepEqual(readCheckpoint(folder, SETTINGS), checkpoint(6));
});

test("a crash between tensors and state leaves the last whole checkpoint", (context) => {
  const folder = temporaryFolder(context);
  writeCheckpoint(folder, checkpoint(3));
  writeSafetensors(join(folder, "tensors-6.safetensors"), checkpoint(6).values);
  assert.deepEqual(readCheckpoint(folder, SETTINGS), checkpoint(3));
});

test("other settings are refused with the setting, its value then and now", (context) => {
  const folder = temporaryFolder(context);
  writeCheckpoint(folder, checkpoint(3));
  refused(folder, { ...SETTINGS, rank: 8 }, /made with another rank: expected 4, got 8/);
  refused(folder, { ...SETTINGS, clip: 1 }, /made with another clip: expected null, got 1/);
  const added = { ...SETTINGS, dropout: 0 };
  refused(folder, added, /made with another dropout: expected no such setting, got 0/);
});

test("a folder without a checkpoint and a damaged one are refused", (context) => {
  const folder = temporaryFolder(context);
  refused(folder, SETTINGS, /no checkpoint to continue from/);
  writeCheckpoint(folder, checkpoint(3));
  writeFileSync(join(folder, "tensors-3.safetensors"), "short");
  refused(folder, SETTINGS, /tensors-3\.safetensors/);
  writeFileSync(join(folder, "state.json"), '{"step": -1}');
  refused(folder, SETTINGS, /state\.json is damaged/);
  writeFileSync(join(folder, "state.json"), "{");
  refused(folder, SETTINGS, /state\.json/);
});
