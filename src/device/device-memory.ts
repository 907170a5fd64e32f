/** What a device remembers across restarts: who it is, and work that it has finished. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import type { Rng } from "../base/rng.ts";
import { parseSettings } from "../base/settings.ts";
import { readJson, writeJson } from "../io/json.ts";
import { reportSchema } from "../protocol/messages.ts";
import { ID_PATTERN } from "../protocol/topics.ts";
import type { FinishedWork } from "./agent-machine.ts";

const identitySchema = v.object({ id: v.pipe(v.string(), v.regex(ID_PATTERN)) });
const finishedSchema = v.object({
  key: v.string(),
  blob: v.object({ root: v.string(), sizeBytes: v.number() }),
  report: reportSchema,
});

/** What an agent needs of its memory. */
export type AgentMemory = Pick<DeviceMemory, "identity" | "recall" | "remember" | "forget">;

const ID_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz";

export class DeviceMemory {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true });
  }

  /** The id of the settings, else the one of an earlier start, else a random one. Throws ConfigError for a damaged file. */
  identity(configured: string | undefined, rng: Rng): string {
    if (configured !== undefined) return configured;
    const file = join(this.#folder, "identity.json");
    if (existsSync(file)) return parseSettings(file, identitySchema, readJson(file)).id;
    const id = `device-${randomName(rng, 12)}`;
    writeJson(file, { id });
    return id;
  }

  /** Work finished by an earlier process; null when there is none. A damaged record counts as none: the work is done again. */
  recall(): FinishedWork | null {
    if (!existsSync(this.#finishedFile)) return null;
    try {
      return v.parse(finishedSchema, readJson(this.#finishedFile));
    } catch {
      return null;
    }
  }

  remember(finished: FinishedWork): void {
    writeJson(this.#finishedFile, finished);
  }

  forget(): void {
    rmSync(this.#finishedFile, { force: true });
  }

  get #finishedFile(): string {
    return join(this.#folder, "finished.json");
  }
}

/** Letters and digits that no one confuses: for ids and process starts. */
export function randomName(rng: Rng, length: number): string {
  return Array.from({ length }, () => ID_LETTERS[rng.int(ID_LETTERS.length)]).join("");
}
