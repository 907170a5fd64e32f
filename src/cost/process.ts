/** Resident memory of a whole process that trains, around the engine's tensors. */
import type { TrainingMemory } from "./memory.ts";

/** Memory grows in steps of a mebibyte, and blocks leave gaps: the share is the largest seen in docs/memory.md. */
const GROWTH_BYTES = 1 << 20;
const GAP_SHARE = 0.02;
/** Compiled kernels, and what JavaScript's heap grows by while it trains. */
const TRAINING_BYTES = 4e6;

/** With `otherBytes` resident before the engine is there. */
export function processBytes(otherBytes: number, { peak }: TrainingMemory): number {
  return otherBytes + Math.ceil((1 + GAP_SHARE) * peak) + GROWTH_BYTES + TRAINING_BYTES;
}

/** An agent of this project on Node 20 to 24, with all its modules loaded. */
const AGENT_BYTES = 61e6;
/** Vocabulary and merges take so much of the heap for each byte of tokenizer.json, with what reading them leaves behind. */
const TOKENIZER_SHARE = 10;

/** An agent's resident memory before it loads a model, by the size of its tokenizer.json. */
export function agentBytes(tokenizerFileBytes: number): number {
  return AGENT_BYTES + TOKENIZER_SHARE * tokenizerFileBytes;
}
