/** The entry of config.json that says which units a compact folder holds. */
import { CheckpointError } from "../base/errors.ts";
import { decodeStructure, type Structure } from "../base/structure.ts";
import type { ModelDescription } from "./description.ts";
import { unitCounts } from "./shape.ts";

/** Its value is text of `encodeStructure`: the sizes beside it in config.json are those of the unpruned model. */
export const STRUCTURE_KEY = "fedspine_structure";

/** What the weights beside a config.json were pruned to; undefined where they are whole. Throws ConfigError for another text. */
export function storedStructure(
  { config, architecture }: ModelDescription,
  configPath: string,
): Structure | undefined {
  const text = config[STRUCTURE_KEY];
  if (text === undefined) return undefined;
  if (typeof text === "string") return decodeStructure(text, unitCounts(architecture), configPath);
  throw new CheckpointError(`${configPath}: ${STRUCTURE_KEY}`, {
    expected: "two hexadecimal bitmaps a layer",
    got: JSON.stringify(text).slice(0, 80),
  });
}
