/** Writes generated events as a directory with a training and a test part. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Example } from "../data/examples.ts";
import { generateEvents } from "./events.ts";
import type { GatewayKind } from "./tables.ts";

export interface WriteOptions {
  readonly seed: number | string;
  readonly numTrain: number;
  readonly numTest: number;
  readonly kinds?: readonly GatewayKind[];
}

/** Creates `folder` with train.tsv and test.tsv, columns text, label and group. */
export function writeDataset(folder: string, { numTrain, numTest, ...rest }: WriteOptions): void {
  mkdirSync(folder, { recursive: true });
  const train = generateEvents({ ...rest, count: numTrain, part: "train" });
  const test = generateEvents({ ...rest, count: numTest, part: "test" });
  writeFileSync(join(folder, "train.tsv"), toTsv(train));
  writeFileSync(join(folder, "test.tsv"), toTsv(test));
}

function toTsv(examples: readonly Example[]): string {
  const lines = examples.map(({ text, label, group = "" }) => `${text}\t${label}\t${group}`);
  return `${["text\tlabel\tgroup", ...lines].join("\n")}\n`;
}
