/** Labelled texts and token rows as sequences of ids with class indices. */
import { DataError } from "../base/errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Sequence } from "./batch.ts";
import type { Dataset } from "./examples.ts";
import type { TokenRow } from "./jsonl.ts";

/** Texts of a data set, cut to `maxTokens`, with the index of each label. */
export function encodeDataset(
  { examples, labels }: Dataset,
  tokenizer: Tokenizer,
  maxTokens: number,
): Sequence[] {
  const indexOf = labelIndex(labels);
  return examples.map(({ text, label }) => ({
    ids: tokenizer.encode(text, { maxTokens }).ids,
    label: indexOf(label),
  }));
}

/** Rows of ids, cut to `maxTokens`; rows without a label stay without. */
export function tokenSequences(
  rows: readonly TokenRow[],
  labels: readonly string[],
  maxTokens: number,
): Sequence[] {
  const indexOf = labelIndex(labels);
  return rows.map(({ inputIds, label }) => {
    const ids = inputIds.slice(0, maxTokens);
    return label === undefined ? { ids } : { ids, label: indexOf(label) };
  });
}

/** Cuts texts into sequences of at most `maxTokens` for a language model, each of at least two tokens. */
export function textSequences(
  texts: readonly string[],
  tokenizer: Tokenizer,
  maxTokens: number,
): Sequence[] {
  return texts
    .map((text) => ({ ids: tokenizer.encode(text, { maxTokens }).ids }))
    .filter(({ ids }) => ids.length > 1);
}

/** Looks a label up by name, or by its index where the data hold indices. Throws DataError. */
function labelIndex(labels: readonly string[]): (label: string) => number {
  const byName = new Map(labels.map((label, i) => [label, i]));
  return (label) => {
    const index = byName.get(label) ?? (/^\d+$/.test(label) ? Number(label) : NaN);
    if (index < labels.length) return index;
    throw new DataError(`unknown label ${JSON.stringify(label)}`, {
      expected: `one of the model's ${labels.length} labels: ${labels.slice(0, 12).join(", ")}`,
      hint: "was the model trained on other classes?",
    });
  };
}
