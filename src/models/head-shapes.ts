/** The tensors that a classifier trains in full, from its files' descriptions alone. */
import { join } from "node:path";
import { openModelFolder } from "../io/model-folder.ts";
import { describeConfig } from "./description.ts";

/**
 * Shapes by tensor name: classifier weight [labels, C] and bias, and a pooler that the checkpoint does not bring. Throws
 * CheckpointError when the folder holds no model that can classify.
 */
export function readHeadShapes(
  folder: string,
  labels: readonly string[],
): Map<string, readonly number[]> {
  const files = openModelFolder(folder);
  const stored = new Set(files.weights.tensors.keys());
  files.weights.close();
  const { head, architecture, family } = describeConfig(files.config, join(folder, "config.json"), {
    task: "classify",
    labels,
  });
  const shapes = new Map<string, readonly number[]>();
  if (head.kind !== "classifier") return shapes;
  const add = (name: string, outputs: number, bias: boolean): void => {
    shapes.set(`${name}.weight`, [outputs, architecture.width]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  const isStored = (name: string): boolean =>
    stored.has(name) || stored.has(name.replace(family.optionalPrefix, ""));
  const { pooler, classifier, bias } = head;
  if (pooler !== undefined && !isStored(`${pooler}.weight`)) add(pooler, architecture.width, true);
  add(classifier, labels.length, bias);
  return shapes;
}
