/** A block with what was found for its cells so far. */
import type { Block } from "./grid.ts";
import { methods } from "./methods.ts";
import { targetOf } from "./metrics.ts";
import type { Results } from "./results.ts";
import type { Trace } from "./trace.ts";

export interface BlockResults {
  readonly block: Block;
  readonly rows: readonly {
    readonly id: string;
    readonly name: string;
    /** Of the seeds that are done. */
    readonly traces: readonly Trace[];
    readonly learningRate: number | null;
  }[];
}

/** What every compared row reaches; controls are meant to be worse and do not lower it. null without results. */
export function blockTarget({ rows }: BlockResults): number | null {
  const compared = rows.filter(
    ({ id }) => !methods.some((method) => method.id === id && method.role === "control"),
  );
  return targetOf(compared.map(({ traces }) => traces));
}

/** Whether there is anything to compare: runs of unpruned references belong to every sparsity and are not enough. */
export function isTelling({ rows }: BlockResults): boolean {
  const references = new Set(methods.flatMap(({ id, role }) => (role === "reference" ? id : [])));
  return rows.some(({ id, traces }) => !references.has(id) && traces.length > 0);
}

/** Reads what there is; runs that failed are left out and told by `onFailed`. */
export function blockResults(
  block: Block,
  results: Results,
  onFailed: (label: string, reason: string) => void,
): BlockResults {
  return {
    block,
    rows: block.rows.map(({ id, name, cells }) => ({
      id,
      name,
      learningRate: cells[0]?.settings.learningRate ?? null,
      traces: cells.flatMap((cell) => {
        const result = results.find(cell);
        if (result === null) return [];
        const { ok, reason } = result.trace;
        if (!ok) onFailed(cell.label, reason);
        return ok ? result.trace : [];
      }),
    })),
  };
}
