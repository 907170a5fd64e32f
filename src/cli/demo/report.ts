/** The table and the sentences at the end of a demo run. */
import Table from "cli-table3";
import { byteText, durationText, percent } from "../output.ts";
import type { Evaluation } from "../../coordinator/run-events.ts";
import type { DemoFleet } from "./fleet.ts";
import type { DemoSummary } from "./run.ts";

export interface DemoResult {
  readonly summary: DemoSummary;
  readonly bagOfWordsAccuracy: number;
  readonly base: string;
  readonly wallMs: number;
  /** A held-out text to try the adapter on. */
  readonly sampleText: string;
}

export function deviceTable(fleet: DemoFleet, { summary }: DemoResult): string {
  const table = new Table({
    head: [
      ...["device", "type", "speed", "examples", "pruned", "rank", "speed-up", "memory"],
      ...["training", "download", "upload", "up", "down"],
    ],
    style: { head: [], border: [], compact: true },
    colAligns: ["left", "left", ...Array<"right">(11).fill("right")],
  });
  for (const { id, profile } of fleet.devices) {
    const device = summary.devices.find((other) => other.id === id);
    if (device === undefined) continue;
    table.push([
      id,
      profile.type,
      profile.speed.toFixed(2),
      device.numSamples,
      percent(device.sparsity),
      device.rank,
      device.speedUp.toFixed(2),
      `${byteText(device.firstPeakBytes)} -> ${byteText(device.lastPeakBytes)}`,
      durationText(device.trainMs),
      durationText(device.downloadMs),
      durationText(device.uploadMs),
      byteText(device.bytesUp),
      byteText(device.bytesDown),
    ]);
  }
  return table.toString();
}

export function closingLines(result: DemoResult): string[] {
  const { summary, bagOfWordsAccuracy, wallMs } = result;
  const score = (evaluation: Evaluation | null): string =>
    evaluation === null ? "not scored" : percent(evaluation.accuracy);
  const { worst, numDevices = 0 } = summary.after ?? {};
  const ofModels =
    worst === undefined
      ? []
      : [
          `models     mean of ${numDevices} pruned ones; worst ${percent(worst.accuracy)} (${worst.device})`,
        ];
  return [
    `rounds     ${summary.rounds} in ${durationText(wallMs)}`,
    `accuracy   before ${score(summary.before)}, after ${score(summary.after)} on held-out text`,
    ...ofModels,
    `baseline   ${percent(bagOfWordsAccuracy)} by a bag-of-words classifier that saw all devices' text`,
    `memory     coordinator ${byteText(summary.residentBytes)} at most`,
    `adapter    ${summary.adapter ?? "none"}`,
    ...(summary.adapter === null ? [] : [`try it     ${tryCommand(result)}`]),
  ];
}

/** A command that classifies one text with the new adapter, on the most pruned device's model. */
export function tryCommand({ summary, base, sampleText }: DemoResult): string {
  const { adapter, structures } = summary;
  const quoted = `'${sampleText.replaceAll("'", "'\\''")}'`;
  const smallest = summary.devices.toSorted((a, b) => b.sparsity - a.sparsity)[0]?.id ?? "";
  const cut = structures === null ? "" : ` --structure ${structures}/${smallest}.json`;
  return `npx fedspine classify --model ${base} --adapter ${adapter ?? ""}${cut} ${quoted}`;
}
