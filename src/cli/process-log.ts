/** The log of the long-running processes: one line per entry on stderr, as text or JSON. */
import { createConsola, type ConsolaInstance } from "consola";

/** `level`: 1 errors and warnings, 3 the usual, 4 debug. */
export function processLog(
  name: string,
  options: { json: boolean; level?: number },
): ConsolaInstance {
  const log = createConsola({
    level: options.level ?? 3,
    stdout: process.stderr,
    stderr: process.stderr,
    formatOptions: { date: true, colors: process.stderr.isTTY },
  });
  if (options.json) {
    log.setReporters([
      {
        log: ({ type, args, date }) => {
          const [first, ...rest] = args as unknown[];
          const entry = { at: date.toISOString(), level: type, process: name, message: first };
          process.stderr.write(`${JSON.stringify(rest.length > 0 ? { ...entry, rest } : entry)}\n`);
        },
      },
    ]);
  }
  return log.withTag(name);
}
