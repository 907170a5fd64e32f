/** Results on disk: one JSON file per run, named by the key of its settings, so that a grid goes on where it stopped. */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError, ConfigError } from "../../src/base/errors.ts";
import { readJsonObject, writeJson } from "../../src/io/json.ts";
import { cellKey, type Cell, type CellSettings } from "./cells.ts";
import type { Trace } from "./trace.ts";

export interface CellResult {
  readonly label: string;
  readonly settings: CellSettings;
  readonly trace: Trace;
  /** Real time that the run took. */
  readonly wallMs: number;
  /** Of the working tree that ran it. */
  readonly commit: string;
}

export class Results {
  readonly folder: string;

  /** Throws ConfigError when the folder holds results and `isResumed` is false. */
  constructor(folder: string, isResumed: boolean) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    const numThere = readdirSync(folder).filter((name) => name.endsWith(".json")).length;
    if (numThere > 0 && !isResumed) {
      throw new ConfigError(`${folder} holds ${numThere} results already`, {
        hint: "go on from them with --resume, or remove the folder",
      });
    }
  }

  /** null when the cell was not run yet. Throws CheckpointError for a file that is not its result. */
  find(cell: Cell): CellResult | null {
    const path = this.#path(cell);
    if (!existsSync(path)) return null;
    const result = readJsonObject(path);
    if (!isResult(result)) {
      throw new CheckpointError(`${path} is not a result`, { hint: "remove it to run it again" });
    }
    return result;
  }

  save(cell: Cell, result: Omit<CellResult, "label" | "settings">): void {
    writeJson(this.#path(cell), { label: cell.label, settings: cell.settings, ...result });
  }

  #path(cell: Cell): string {
    return join(this.folder, `${cellKey(cell)}.json`);
  }
}

/** Only this program writes there: whether the parts are there is check enough. */
function isResult(value: Record<string, unknown>): value is Record<string, unknown> & CellResult {
  const { trace, wallMs } = value;
  return typeof trace === "object" && trace !== null && typeof wallMs === "number";
}
