/** The table and the sentences at the end of a demo run. */
import Table from "cli-table3";
import { byteText, durationText, percent } from "../output.ts";
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
      "device",
      "type",
      "speed",
      "examples",
      "steps",
      "training",
      "download",
      "upload",
      "up",
      "down",
      "peak memory",
    ],
    style: { head: [], border: [] },
    colAligns: ["left", "left", ...Array<"right">(9).fill("right")],
  });
  for (const { id, profile } of fleet.devices) {
    const device = summary.devices.find((other) => other.id === id);
    table.push([
      id,
      profile.type,
      profile.speed.toFixed(2),
      device?.numSamples ?? 0,
      device?.steps ?? 0,
      durationText(device?.trainMs ?? 0),
      durationText(device?.downloadMs ?? 0),
      durationText(device?.uploadMs ?? 0),
      byteText(device?.bytesUp ?? 0),
      byteText(device?.bytesDown ?? 0),
      byteText(device?.residentBytes ?? 0),
    ]);
  }
  return table.toString();
}

export function closingLines(result: DemoResult): string[] {
  const { summary, bagOfWordsAccuracy, wallMs } = result;
  const score = (evaluation: { accuracy: number } | null): string =>
    evaluation === null ? "not scored" : percent(evaluation.accuracy);
  return [
    `rounds     ${summary.rounds} in ${durationText(wallMs)}`,
    `accuracy   before ${score(summary.before)}, after ${score(summary.after)} on held-out text`,
    `baseline   ${percent(bagOfWordsAccuracy)} by a bag-of-words classifier that saw all devices' text`,
    `memory     coordinator ${byteText(summary.residentBytes)} at most`,
    `adapter    ${summary.adapter ?? "none"}`,
    ...(summary.adapter === null ? [] : [`try it     ${tryCommand(result)}`]),
  ];
}

/** A command that classifies one text with the new adapter. */
export function tryCommand({ summary, base, sampleText }: DemoResult): string {
  const quoted = `'${sampleText.replaceAll("'", "'\\''")}'`;
  return `npx fedspine classify --model ${base} --adapter ${summary.adapter ?? ""} ${quoted}`;
}
