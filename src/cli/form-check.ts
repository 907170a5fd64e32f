/** Writes a model in every form, reads each back, and sees whether it still says the same. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tape } from "../autograd/tape.ts";
import { Rng } from "../base/rng.ts";
import { packBatch } from "../data/batch.ts";
import type { Model } from "../models/model.ts";
import type { SavedForm } from "../models/save.ts";
import { openSession, type ModelSession, type SessionOptions } from "./model-session.ts";
import { adapterFolder, writeAdapter, writeModel, type WeightType } from "./saved-forms.ts";

export interface CheckedForm {
  readonly form: string;
  /** Of everything that was written. */
  readonly bytes: number;
  /** Largest difference of a logit, relative to the largest logit of its sample. */
  readonly difference: number;
  readonly isSame: boolean;
}

/**
 * Largest relative difference that storing may make: sums of float32 in another order, and, for f16, rounding of
 * every weight.
 */
export const TOLERANCES: Readonly<Record<WeightType, number>> = { f32: 1e-4, f16: 2e-2 };

const SAMPLE_LENGTHS = [3, 17, 32];
const FORMS: readonly SavedForm[] = ["dense", "compact"];

/** Compares on three rows of random ids that `seed` draws. Throws as opening the model does. */
export function checkForms(
  options: SessionOptions,
  dtype: WeightType,
  seed: number,
): readonly CheckedForm[] {
  const folder = mkdtempSync(join(tmpdir(), "fedspine-verify-"));
  try {
    const original = openSession(options);
    const samples = drawSamples(original, seed);
    const wanted = samples.map((ids) => logitsOf(original.model, ids));
    const check = (
      form: string,
      written: string,
      adapter: Pick<SessionOptions, "adapter">,
    ): CheckedForm => {
      const { model } = openSession({ model: written, kernels: options.kernels, ...adapter });
      const found = samples.map((ids) => logitsOf(model, ids));
      const difference = largestDifference(found, wanted);
      return {
        form,
        bytes: folderBytes(join(folder, form)),
        difference,
        isSame: difference <= TOLERANCES[dtype],
      };
    };
    const write = (form: SavedForm, name: string): string => {
      const path = join(folder, name);
      writeModel(original, path, { form, dtype, tokenizerFolder: options.model });
      return path;
    };
    const { adapted } = original;
    const plain = FORMS.map((form) => {
      const path = write(form, form);
      writeAdapter(original, path, form);
      return check(form, path, adapted === null ? {} : { adapter: adapterFolder(path) });
    });
    if (adapted === null) return plain;
    const alone = "adapter for the base";
    writeAdapter(original, join(folder, alone), "compact");
    const ofBase = check(alone, options.model, { adapter: adapterFolder(join(folder, alone)) });
    adapted.lora.merge();
    const merged = FORMS.map((form) => {
      const name = `${form}, adapter folded in`;
      return check(name, write(form, name), {});
    });
    return [...plain, ofBase, ...merged];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function drawSamples({ model, maxTokens }: ModelSession, seed: number): number[][] {
  const rng = Rng.fromSeed(seed).fork("samples");
  return SAMPLE_LENGTHS.map((length) =>
    Array.from({ length: Math.min(length, maxTokens) }, () => rng.int(model.shape.vocabSize)),
  );
}

/** Label logits, or those of every token. */
function logitsOf(model: Model, ids: readonly number[]): Float32Array {
  return model.engine.step(() => {
    const tape = new Tape(model.engine, { recording: false });
    const batch = packBatch([{ ids }]);
    const logits =
      model.task === "classify"
        ? model.classLogits(tape, batch)
        : model.tokenLogits(
            tape,
            batch,
            ids.map((_, i) => i),
          );
    return logits.toHost();
  });
}

function largestDifference(
  found: readonly Float32Array[],
  wanted: readonly Float32Array[],
): number {
  const relative = wanted.map((sample, i) => {
    const scale = sample.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = sample.reduce(
      (most, value, k) => Math.max(most, Math.abs(value - (found[i]?.[k] ?? NaN))),
      0,
    );
    return scale === 0 ? difference : difference / scale;
  });
  return Math.max(...relative);
}

function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => statSync(join(folder, name)))
    .filter((entry) => entry.isFile())
    .reduce((sum, { size }) => sum + size, 0);
}
