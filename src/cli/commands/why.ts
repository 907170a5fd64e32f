/** `fedspine why`: what a device was given in each round of a run, out of what, and what made the controller choose so. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import Table from "cli-table3";
import { Command } from "commander";
import {
  type DeviceHistory,
  type DeviceRound,
  deviceHistory,
} from "../../coordinator/device-history.ts";
import { byteText, durationText, print, printJson } from "../output.ts";

interface Options {
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Explain what a device was given in each round: sparsity, rank and the reasons")
    .argument("<run>", "run folder of a coordinator, or the folder of a demo")
    .argument("<device>", "id of the device")
    .option("--json", "everything as one JSON line")
    .action(run);
}

function run(folder: string, device: string, options: Options): void {
  const inner = join(folder, "run");
  const history = deviceHistory(existsSync(join(inner, "events.jsonl")) ? inner : folder, device);
  if (options.json === true) return printJson({ device, ...history });
  const { rounds, excluded, controller, explanation } = history;
  print(`${device}, controller ${controller}`);
  if (excluded !== null) {
    const { round, neededBytes, availableBytes } = excluded;
    const sizes = `${byteText(neededBytes)} are needed and ${byteText(availableBytes)} there`;
    print(`left out from round ${round} on while nothing fits its memory: ${sizes}`);
  }
  if (rounds.length > 0) print(roundTable(history));
  if (explanation === null) return;
  print(`${explanation.summary}.`);
  for (const { title, columns, rows } of explanation.tables) {
    if (rows.length > 0) print(`\n${title}\n${table(columns, rows.map(rounded))}`);
  }
}

function roundTable({ rounds }: DeviceHistory): string {
  const columns = [
    ...["round", "reached", "ramp", "feasible", "chosen", "ranks", "rank", "got"],
    ...["step", "round took", "loss"],
  ];
  return table(columns, rounds.map(roundRow));
}

function roundRow({ round, decided, received }: DeviceRound): string[] {
  const share = (value: number): string => value.toFixed(3);
  const { minSparsity, maxSparsity, ranks } = decided;
  const chosen = [
    String(round),
    share(decided.reachedSparsity),
    share(decided.referenceSparsity),
    minSparsity === maxSparsity
      ? share(minSparsity)
      : `${share(minSparsity)}-${share(maxSparsity)}`,
    share(decided.sparsity),
    ranks.join(" "),
    String(decided.rank),
  ];
  if (received === null) return [...chosen, "nothing", "", "", ""];
  const { sparsity, rank, stepMs, downloadMs, trainMs, uploadMs, lossFirst, lossLast } = received;
  const got = rank === decided.rank ? share(sparsity) : `${share(sparsity)}, rank ${rank}`;
  return [
    ...[...chosen, got, durationText(stepMs), durationText(downloadMs + trainMs + uploadMs)],
    `${lossFirst.toFixed(3)} -> ${lossLast.toFixed(3)}`,
  ];
}

function rounded(row: readonly (string | number)[]): string[] {
  return row.map((cell) => (typeof cell === "number" ? String(Number(cell.toPrecision(4))) : cell));
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const grid = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) grid.push([...row]);
  return grid.toString();
}
