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

/** 0.8412 -> "84.1 %". */
export function percent(fraction: number): string {
  return `${(100 * fraction).toFixed(1)} %`;
}

/** Bytes in the unit that leaves one to three digits before the point. */
export function byteText(bytes: number): string {
  const units = ["B", "KB", "MB", "GB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

/** Milliseconds as "840 ms", "12.3 s" or "2 min 5 s". */
export function durationText(durationMs: number): string {
  if (durationMs < 1000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(1)} s`;
  const seconds = Math.round(durationMs / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
