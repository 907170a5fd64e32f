/** What commands print: one JSON line for programs, or text for people. */

/** Writes one JSON line to stdout. */
export function printJson(record: unknown): void {
  process.stdout.write(`${JSON.stringify(record)}\n`);
}

/** Writes a line to stdout. */
export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Writes a line of progress or explanation to stderr, so that stdout stays the result. */
export function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

export { byteText, durationText, percent } from "../base/quantity-text.ts";
