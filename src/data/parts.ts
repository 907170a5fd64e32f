/** Finds the training, test and validation parts in a directory by the names of its entries. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { DataError } from "../base/errors.ts";
import { ALIGNED_TEXT } from "./source.ts";
import { formatOf } from "./table.ts";

export interface Parts {
  /** The training part, or the only source there is. */
  readonly train: string;
  readonly test?: string;
  readonly validation?: string;
}

const TRAIN_WORDS = ["train", "training"];
const TEST_WORDS = ["test", "testing", "eval"];
const VALIDATION_WORDS = ["valid", "validation", "val", "dev"];

/** Looks at `path`, a file or a directory. Throws DataError where nothing, or no one thing, is found. */
export function findParts(path: string): Parts {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    throw new DataError(`there is no ${path}`, { hint: "name a data file or a directory of them" });
  }
  if (!stats.isDirectory() || isAlignedFolder(path)) return { train: path };
  const names = readdirSync(path).sort();
  const sources = names.filter((name) => isSource(join(path, name)));
  const train = pick(sources, TRAIN_WORDS, path);
  if (train !== undefined) {
    const test = pick(sources, TEST_WORDS, path);
    const validation = pick(sources, VALIDATION_WORDS, path);
    return {
      train: join(path, train),
      ...(test === undefined ? {} : { test: join(path, test) }),
      ...(validation === undefined ? {} : { validation: join(path, validation) }),
    };
  }
  const [only] = sources;
  if (only !== undefined && sources.length === 1) return { train: join(path, only) };
  throw new DataError(`${basename(path)} has no training part`, {
    expected:
      "train.csv, train.tsv, train.jsonl, a folder train with seq.in and label, or one file",
    got: names.length === 0 ? "an empty directory" : names.join(", "),
    hint: "name the file itself",
  });
}

/** The entry of a part: `train_full` before `train`, and that before any other name with the word. */
function pick(names: readonly string[], words: readonly string[], folder: string) {
  const parts = (name: string): string[] => stemOf(name).split(/[._-]/);
  const tests: ((name: string) => boolean)[] = [
    (name) => words.some((word) => parts(name).join("_") === `${word}_full`),
    (name) => words.includes(stemOf(name)),
    (name) => parts(name).some((part) => words.includes(part)),
  ];
  for (const fits of tests) {
    const found = names.filter(fits);
    if (found.length > 1) {
      throw new DataError(`${basename(folder)} has more than one ${words[0] ?? ""} part`, {
        expected: "one",
        got: found.join(", "),
        hint: "name the file itself",
      });
    }
    if (found.length === 1) return found[0];
  }
  return undefined;
}

function stemOf(name: string): string {
  const lower = name.toLowerCase();
  return formatOf(lower) === undefined ? lower : lower.slice(0, lower.lastIndexOf("."));
}

function isAlignedFolder(path: string): boolean {
  return existsSync(join(path, ALIGNED_TEXT));
}

function isSource(path: string): boolean {
  return statSync(path).isDirectory() ? isAlignedFolder(path) : formatOf(path) !== undefined;
}
