/** The lines of a journal: each record as JSON behind a checksum that is chained to the line before. */
import { createHash } from "node:crypto";
import { CheckpointError } from "../base/errors.ts";

const DIGEST_LETTERS = 32;
const LINE_FEED = 10;
/** What the first line is chained to. */
export const NO_DIGEST = "";

export interface JournalLine {
  /** 32 hex digits: half a SHA-256 over the digest of the line before and the JSON text. */
  readonly digest: string;
  /** With the line feed that ends it. */
  readonly bytes: Uint8Array;
}

export interface JournalContent {
  readonly records: readonly unknown[];
  /** Of the last sound line. */
  readonly digest: string;
  /** Behind the sound lines: a record whose writing a crash has cut short. */
  readonly tornBytes: number;
}

export function journalLine(before: string, record: unknown): JournalLine {
  const text = JSON.stringify(record);
  const digest = digestOf(before, text);
  return { digest, bytes: Buffer.from(`${digest} ${text}\n`) };
}

/**
 * The records of a journal. A last line that is not whole is what a crash leaves and is cut off: nobody was told of that record. Throws
 * CheckpointError for any other damage.
 */
export function readJournalLines(bytes: Uint8Array, path: string): JournalContent {
  const records: unknown[] = [];
  let digest = NO_DIGEST;
  let soundBytes = 0;
  for (const { line, endBytes } of linesOf(bytes)) {
    const record = recordIn(line, digest);
    if (record === undefined) break;
    records.push(record.value);
    digest = line.slice(0, DIGEST_LETTERS);
    soundBytes = endBytes;
  }
  const rest = bytes.subarray(soundBytes);
  // A record is written at once and ends with the only line feed in it.
  const isDamaged = rest.indexOf(LINE_FEED) >= 0 && rest.indexOf(LINE_FEED) < rest.byteLength - 1;
  if (isDamaged) {
    throw new CheckpointError(`${path}: line ${records.length + 1} is damaged, and more follows`, {
      hint: "the disk or another program has changed the file: restore the folder from a backup",
    });
  }
  return { records, digest, tornBytes: rest.byteLength };
}

function recordIn(line: string, before: string): { value: unknown } | undefined {
  const text = line.slice(DIGEST_LETTERS + 1);
  if (line !== `${digestOf(before, text)} ${text}`) return undefined;
  return { value: JSON.parse(text) as unknown };
}

function* linesOf(bytes: Uint8Array): Generator<{ line: string; endBytes: number }> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0;
  for (let end = buffer.indexOf(LINE_FEED); end >= 0; end = buffer.indexOf(LINE_FEED, start)) {
    yield { line: buffer.toString("utf8", start, end), endBytes: end + 1 };
    start = end + 1;
  }
}

function digestOf(before: string, text: string): string {
  const hash = createHash("sha256").update(before).update(text);
  return hash.digest("hex").slice(0, DIGEST_LETTERS);
}
