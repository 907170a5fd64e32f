/**
 * What the transport holds against: slow, dropping and stalled links, many devices at once, a broker that dies.
 *
 *   node dist/bench/transport/main.js [--short] [--minutes 10] [figure ...]
 *
 * One JSON line per figure on stdout, a table on stderr; exit status 1 when an aim is missed.
 */
import { parseArgs } from "node:util";
import type { Figure } from "./figure.ts";
import { reconnects } from "./reconnect.ts";
import { slowLinks } from "./slow-links.ts";
import { slowReaders } from "./slow-readers.ts";
import { throughput } from "./throughput.ts";

const EXIT_USAGE = 64;
const figures: readonly Figure[] = [...slowLinks, ...throughput, ...slowReaders, ...reconnects];

const { values: args, positionals: words } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: "boolean", default: false },
    minutes: { type: "string", default: "5" },
  },
});
const chosen = figures.filter(
  ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
);
if (chosen.length === 0) {
  process.stderr.write(
    `no figure matches; there are ${figures.map(({ name }) => name).join(", ")}\n`,
  );
  process.exit(EXIT_USAGE);
}

const widest = Math.max(...chosen.map(({ name }) => name.length));
const lines: string[] = [];
for (const figure of chosen) {
  const { name, aim } = figure;
  const length = { isShort: args.short, minutes: Number(args.minutes) };
  const { ok, shown, values } = await figure.measure(length);
  process.stdout.write(`${JSON.stringify({ figure: name, ok, ...values })}\n`);
  const verdict = ok ? "holds " : "MISSED";
  lines.push(`${name.padEnd(widest)}  ${verdict}  ${shown}\n${" ".repeat(widest + 10)}(${aim})`);
  if (!ok) process.exitCode = 1;
}
process.stderr.write(`${lines.join("\n")}\n`);
process.exit();
