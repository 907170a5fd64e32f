/** What a device knows about its own pruning from earlier rounds: structure, score averages, and how the guard stands. */
import * as v from "valibot";
import { FedspineError } from "../../base/errors.ts";
import {
  decodeStructure,
  encodeStructure,
  type Structure,
  type UnitCounts,
} from "../../base/structure.ts";
import { encodeSafetensors } from "../../io/safetensors-writer.ts";
import { readAll, Safetensors } from "../../io/safetensors.ts";
import { ScoreKeeper } from "../../pruning/keeper.ts";
import { freshGuard, type GuardState } from "./guard.ts";

export interface PruningState {
  /** What is left; null before the first round. */
  readonly structure: Structure | null;
  readonly keeper: ScoreKeeper;
  readonly guard: GuardState;
}

/** What a record belongs to; another one's is of no use. */
export interface PruningStateKey {
  readonly run: string;
  /** Names the base. */
  readonly base: string;
  /** Averages of different scores do not mix. */
  readonly score: string;
}

const guardSchema = v.object({
  lossBeforePruning: v.nullable(v.pipe(v.number(), v.finite())),
  hasSkipped: v.boolean(),
});

/** The record as safetensors: score averages as tensors, everything else as texts beside them. */
export function encodePruningState(
  { structure, keeper, guard }: PruningState,
  key: PruningStateKey,
  counts: UnitCounts,
): Uint8Array {
  const metadata: Record<string, string> = { key: keyText(key), guard: JSON.stringify(guard) };
  if (structure !== null) metadata["structure"] = encodeStructure(structure, counts);
  return encodeSafetensors(keeper.export(), { metadata });
}

/**
 * Reads what {@link encodePruningState} wrote. A record of another run, base or score, and a damaged one, count as none: the
 * coordinator knows the structure as well, and scores can be measured again.
 */
export function decodePruningState(
  bytes: Uint8Array | null,
  key: PruningStateKey,
  counts: UnitCounts,
): PruningState {
  const none = { structure: null, keeper: new ScoreKeeper(counts), guard: freshGuard };
  if (bytes === null) return none;
  try {
    const file = Safetensors.fromBytes(bytes, "pruning state");
    const { metadata } = file;
    if (metadata["key"] !== keyText(key)) return none;
    const keeper = new ScoreKeeper(counts);
    keeper.restore(readAll(file), "pruning state");
    const text = metadata["structure"];
    const structure = text === undefined ? null : decodeStructure(text, counts, "pruning state");
    const guard = v.parse(guardSchema, JSON.parse(metadata["guard"] ?? "null"));
    return { structure, keeper, guard };
  } catch (error) {
    const isDamage =
      error instanceof FedspineError || error instanceof SyntaxError || v.isValiError(error);
    if (isDamage) return none;
    throw error;
  }
}

function keyText({ run, base, score }: PruningStateKey): string {
  return JSON.stringify([run, base, score]);
}
