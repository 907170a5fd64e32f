/** Loads labelled texts from a file or a directory, with a training and a held-out part. */
import { basename } from "node:path";
import { Rng } from "../base/rng.ts";
import { createDataset, sortedLabels, type Dataset, type Example } from "./examples.ts";
import { tokenRows, type TokenRow } from "./jsonl.ts";
import { findParts } from "./parts.ts";
import { noLabelColumn, readSource, type Source, type SourceOptions } from "./source.ts";
import { stratifiedSplit } from "./split.ts";
import { readText } from "./table.ts";

export type { Dataset, Example } from "./examples.ts";

export interface LoadOptions extends SourceOptions {
  /** Seed of the split where the data bring none. */
  readonly seed: number | string;
  /** Share held out of every label where the data bring no split, 0..1. */
  readonly testRatio?: number;
}

/** All parts share one list of labels. */
export interface LoadedDataset {
  readonly train: Dataset;
  readonly test: Dataset;
  /** Where a directory has a labelled validation part besides its test part. */
  readonly validation?: Dataset;
  /** Which columns were used and how they were found, as a sentence. */
  readonly columns: string;
  /** Where the parts came from and how large they are, as a sentence. */
  readonly split: string;
  /** What was skipped or guessed, one sentence each. */
  readonly notes: readonly string[];
}

const DEFAULT_TEST_RATIO = 0.2;

/**
 * Loads `path`. A directory with a training and a test or validation part keeps its own split; a single
 * source is split by label. Throws DataError where there is no labelled text.
 */
export function loadDataset(path: string, options: LoadOptions): LoadedDataset {
  const parts = findParts(path);
  const train = readSource(parts.train, options);
  if (!train.isLabelled) throw noLabelColumn(parts.train, train);
  // The other parts are read by the columns of the training part.
  const alike: SourceOptions = { ...options, ...train.used };
  const test = readLabelled(parts.test, alike);
  const validation = readLabelled(parts.validation, alike);
  const notes = [...train.notes, ...test.notes, ...validation.notes];

  const heldOut = test.examples === undefined ? validation : test;
  if (heldOut.examples === undefined) {
    return splitSource(parts.train, train, notes, options);
  }
  const spare = heldOut === test ? validation.examples : undefined;
  const labels = sortedLabels([...train.examples, ...heldOut.examples, ...(spare ?? [])]);
  const trained = new Set(train.examples.map(({ label }) => label));
  const unseen = labels.filter((label) => !trained.has(label));
  if (unseen.length > 0) notes.push(`labels without training rows: ${unseen.join(", ")}`);
  return {
    train: createDataset(train.examples, labels),
    test: createDataset(heldOut.examples, labels),
    ...(spare === undefined ? {} : { validation: createDataset(spare, labels) }),
    columns: train.columns,
    split:
      `split: ${basename(parts.train)} with ${train.examples.length} rows to train, ` +
      `${heldOut.name} with ${heldOut.examples.length} to test`,
    notes,
  };
}

/** Reads one source whole, without a split. Throws DataError where it has no labels. */
export function loadExamples(path: string, options: SourceOptions = {}): Source {
  const source = readSource(path, options);
  if (!source.isLabelled) throw noLabelColumn(path, source);
  return source;
}

/** Reads JSON lines of token ids. Throws DataError with the line of the first bad row. */
export function loadTokenRows(path: string): TokenRow[] {
  return tokenRows(readText(path).text, path);
}

interface HeldOut {
  readonly name: string;
  /** Undefined where there is no such part, or none with labels. */
  readonly examples?: readonly Example[];
  readonly notes: readonly string[];
}

function readLabelled(path: string | undefined, options: SourceOptions): HeldOut {
  if (path === undefined) return { name: "", notes: [] };
  const name = basename(path);
  const source = readSource(path, options, true);
  if (source.isLabelled) return { name, examples: source.examples, notes: source.notes };
  return { name, notes: [`${name} has no labels: left out`] };
}

function splitSource(
  path: string,
  { examples, columns }: Source,
  notes: readonly string[],
  { seed, testRatio = DEFAULT_TEST_RATIO }: LoadOptions,
): LoadedDataset {
  const { train, test } = stratifiedSplit(examples, testRatio, Rng.fromSeed(seed).fork("split"));
  const labels = sortedLabels(examples);
  return {
    train: createDataset(train, labels),
    test: createDataset(test, labels),
    columns,
    split:
      `split: ${basename(path)}, ${train.length} rows to train and ${test.length} held out ` +
      `(by label, seed ${seed})`,
    notes,
  };
}
