/** `fedspine report`: turn the folder of a run into one HTML page. */
import { join } from "node:path";
import { Command } from "commander";
import { writeFileAtomic } from "../../io/atomic-file.ts";
import { openCharts } from "../../report/chart.ts";
import { reportPage } from "../../report/page.ts";
import { readRun } from "../../report/run-record.ts";
import { note, print } from "../output.ts";

interface Options {
  out?: string;
}

export function command(): Command {
  return new Command()
    .description("Turn the folder of a run into one HTML page that needs nothing but itself")
    .argument("<folder>", "run folder of a coordinator, a demo or a simulation, finished or not")
    .option("--out <file>", "page to write (default: report.html in the run folder)")
    .action(run);
}

async function run(folder: string, options: Options): Promise<void> {
  const record = readRun(folder);
  const page = reportPage(record, await openCharts());
  const path = options.out ?? join(folder, "report.html");
  writeFileAtomic(path, [Buffer.from(page)]);
  if (record.unreadableLines > 0) {
    note(`${record.unreadableLines} lines of the run's events could not be read`);
  }
  print(`wrote ${path}`);
}
