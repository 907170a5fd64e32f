/**
 * A write-ahead journal in a folder of its own: what `append` returned from is on the disk, and one process at a time can append.
 *
 * The files are numbered. Who wants the journal creates the next number, empty, which no two can; from then on the owner of a lower
 * number finds after each append that it is not the owner any more, before anybody was told of the record. Only then the newcomer reads
 * what is there, and renames a file with the sum of it over the empty one. No lock can be left behind by a crash.
 */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { CheckpointError, DisplacedError } from "../base/errors.ts";
import { type JournalContent, NO_DIGEST, journalLine, readJournalLines } from "./journal-lines.ts";
import { syncFolder, writeWhole } from "./synced.ts";

export interface JournalOptions {
  /** false: a crash of the machine may cost the last records, one of the process does not. */
  readonly isSynced: boolean;
}

/** Records in their order, and how many bytes of a record were cut off because a crash had cut them short. */
export type FoundRecords = Pick<JournalContent, "records" | "tornBytes">;

/** The first line of every file. */
const FORMAT = { journal: 1 };
const NOTHING: FoundRecords = { records: [], tornBytes: 0 };
const NAME = /^(\d{8})\.jsonl$/;

export class Journal {
  readonly #folder: string;
  readonly #number: number;
  readonly #isSynced: boolean;
  #end: FileEnd;

  private constructor(folder: string, number: number, isSynced: boolean, end: FileEnd) {
    this.#folder = folder;
    this.#number = number;
    this.#isSynced = isSynced;
    this.#end = end;
  }

  /**
   * Takes the journal, from its owner too if there is one. `sum` gives the one record that stands for those that it is shown: none for a
   * new journal. Throws CheckpointError for damage, DisplacedError when another taker came later, and what the file system throws.
   */
  static take(
    folder: string,
    { isSynced }: JournalOptions,
    sum: (found: FoundRecords) => unknown,
  ): Journal {
    mkdirSync(folder, { recursive: true });
    const number = claim(folder);
    const found = readBelow(folder, number);
    const end = install(folder, number, sum(found), isSynced);
    const journal = new Journal(folder, number, isSynced, end);
    journal.#expectMine();
    removeBelow(folder, number);
    return journal;
  }

  /**
   * Throws DisplacedError when another process has taken the journal, and what the file system throws. Then nobody may be told of the
   * record; what was written of it is cut off before the next one.
   */
  append(record: unknown): void {
    const { file, digest: before, sizeBytes } = this.#end;
    const { digest, bytes } = journalLine(before, record);
    ftruncateSync(file, sizeBytes);
    writeWhole(file, bytes, sizeBytes);
    if (this.#isSynced) fsyncSync(file);
    this.#expectMine();
    this.#end = { file, digest, sizeBytes: sizeBytes + bytes.byteLength };
  }

  /** Puts one record into the place of all. Throws as `append` does; then the old ones are still there. */
  replace(record: unknown): void {
    this.#expectMine();
    const old = this.#end;
    this.#end = install(this.#folder, this.#number, record, this.#isSynced);
    closeSync(old.file);
    this.#expectMine();
  }

  close(): void {
    closeSync(this.#end.file);
  }

  #expectMine(): void {
    if (numbersIn(this.#folder).every((number) => number <= this.#number)) return;
    throw new DisplacedError(`another process has taken the journal in ${this.#folder}`, {
      hint: "one coordinator at a time can lead a run; this one, the older, has stopped",
    });
  }
}

/** What is in a journal, without taking it; nothing when there is none. Throws CheckpointError for damage. */
export function readJournal(folder: string): FoundRecords {
  return readBelow(folder, Infinity);
}

/** The open file and where its sound records end. */
interface FileEnd {
  readonly file: number;
  readonly digest: string;
  readonly sizeBytes: number;
}

function claim(folder: string): number {
  for (;;) {
    const number = Math.max(0, ...numbersIn(folder)) + 1;
    try {
      closeSync(openSync(pathOf(folder, number), "wx"));
      return number;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
  }
}

/** The newest file that is not the empty one of a taker who never came to fill it. */
function readBelow(folder: string, limit: number): FoundRecords {
  for (;;) {
    const numbers = numbersIn(folder).filter((number) => number < limit);
    if (numbers.length === 0) return NOTHING;
    try {
      for (const number of numbers.sort((a, b) => b - a)) {
        const found = readWhole(pathOf(folder, number));
        if (found !== undefined) return found;
      }
      return NOTHING;
    } catch (error) {
      // A newer file has taken the place of this one meanwhile.
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }
}

function readWhole(path: string): FoundRecords | undefined {
  const bytes = readFileSync(path);
  if (bytes.byteLength === 0) return undefined;
  const { records, tornBytes } = readJournalLines(bytes, path);
  const [format, ...rest] = records;
  if (JSON.stringify(format) === JSON.stringify(FORMAT) && rest.length > 0) {
    return { records: rest, tornBytes };
  }
  throw new CheckpointError(`${path} is not a journal that this version can read`, {
    expected: `first ${JSON.stringify(FORMAT)}, then a record`,
    got: format === undefined ? "nothing whole" : JSON.stringify(format),
  });
}

/** A file is visible under its number only when it is whole. */
function install(folder: string, number: number, record: unknown, isSynced: boolean): FileEnd {
  const path = pathOf(folder, number);
  const first = journalLine(NO_DIGEST, FORMAT);
  const { digest, bytes } = journalLine(first.digest, record);
  const content = Buffer.concat([first.bytes, bytes]);
  const file = openSync(`${path}.part`, "w+");
  try {
    writeWhole(file, content, 0);
    if (isSynced) fsyncSync(file);
    renameSync(`${path}.part`, path);
    if (isSynced) syncFolder(folder);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  return { file, digest, sizeBytes: content.byteLength };
}

function removeBelow(folder: string, number: number): void {
  const own = nameOf(number);
  for (const name of readdirSync(folder)) if (name < own) rmSync(join(folder, name));
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder).flatMap((name) => {
      const digits = NAME.exec(name)?.[1];
      return digits === undefined ? [] : [Number(digits)];
    });
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

function nameOf(number: number): string {
  return `${String(number).padStart(8, "0")}.jsonl`;
}

function pathOf(folder: string, number: number): string {
  return join(folder, nameOf(number));
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
