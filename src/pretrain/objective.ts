/** What a pretraining step predicts: hidden tokens of whole windows, or each next token. */
import { Rng } from "../base/rng.ts";
import type { LossTargets } from "../models/model.ts";
import type { TokenBatch } from "../models/transformer.ts";
import type { Task } from "../models/architecture.ts";
import { CheckpointError } from "../base/errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { ignoredLabel, maskingVocabulary, maskTokens } from "./masking.ts";
import type { WindowFrame } from "./windows.ts";

export interface Objective {
  readonly task: Extract<Task, "masked-lm" | "causal-lm">;
  readonly frame: WindowFrame;
  /** A batch and its targets from windows [B, T]; the same step gives the same ones. */
  example(
    windows: Int32Array,
    T: number,
    step: number,
  ): { batch: TokenBatch; targets: LossTargets };
}

export interface MaskedOptions {
  /** Share of tokens to predict. */
  readonly probability: number;
  readonly wholeWords: boolean;
  readonly seed: number;
}

/** Masked language modelling; the tokenizer must have [CLS], [SEP] and [MASK]. */
export function maskedObjective(tokenizer: Tokenizer, options: MaskedOptions): Objective {
  const { cls, sep, mask } = tokenizer.special;
  if (cls === undefined || sep === undefined || mask === undefined) {
    throw new CheckpointError("masked pretraining needs special tokens", {
      expected: "a tokenizer with [CLS], [SEP] and [MASK]",
      got: Object.keys(tokenizer.special).join(", ") || "none",
    });
  }
  const vocabulary = maskingVocabulary(tokenizer, mask);
  return {
    task: "masked-lm",
    frame: { prefix: [cls], suffix: [sep] },
    example(windows, T, step) {
      const { inputIds, labels } = maskTokens(windows, T, vocabulary, options, step);
      const rows: number[] = [];
      labels.forEach((label, row) => {
        if (label !== ignoredLabel) rows.push(row);
      });
      // A window without a hidden token would leave nothing to predict.
      if (rows.length === 0) {
        const row = 1 + Rng.fromSeed(`${options.seed}/one token ${step}`).int(T - 2);
        rows.push(row);
        labels[row] = inputIds[row] as number;
        inputIds[row] = mask;
      }
      return {
        batch: whole(inputIds, T),
        targets: { kind: "tokens", rows, labels: rows.map((row) => labels[row] as number) },
      };
    },
  };
}

/** Next-token prediction; windows start with the tokenizer's start token where it has one. */
export function causalObjective(tokenizer: Tokenizer): Objective {
  const start = tokenizer.special.bos ?? tokenizer.special.cls;
  return {
    task: "causal-lm",
    frame: { prefix: start === undefined ? [] : [start], suffix: [] },
    example: (windows, T) => ({ batch: whole(windows, T), targets: { kind: "next-token" } }),
  };
}

function whole(ids: Int32Array, T: number): TokenBatch {
  return { ids, offsets: Int32Array.from({ length: ids.length / T + 1 }, (_, b) => b * T) };
}
