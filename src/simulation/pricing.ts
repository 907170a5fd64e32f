/** What a device's training costs, counted by the cost model on the lengths of its own texts. */
import type { ModelShape } from "../base/model-shape.ts";
import { Rng } from "../base/rng.ts";
import { decodeStructure, fullStructure, type Structure } from "../base/structure.ts";
import { epochBatches } from "../data/batch.ts";
import type { Example } from "../data/examples.ts";
import { costOf } from "../cost/approximate.ts";
import { Safetensors } from "../io/safetensors.ts";
import type { TrainPlan } from "../protocol/messages.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export class Pricing {
  readonly #shape: ModelShape;
  /** Tokens of each example, uncut, by device. */
  readonly #lengths: readonly (readonly number[])[];
  readonly #meanTokens = new Map<string, number>();

  constructor(shape: ModelShape, tokenizer: Tokenizer, parts: readonly (readonly Example[])[]) {
    this.#shape = shape;
    this.#lengths = parts.map((examples) =>
      examples.map(
        ({ text }) => tokenizer.encode(text, { maxTokens: shape.maxPositions }).ids.length,
      ),
    );
  }

  /** Billions of operations of one training step of the device at index `device`, for what it trains of the model. */
  gflopsPerStep(
    device: number,
    plan: TrainPlan,
    structure: Structure | { readonly sparsity: number },
  ): number {
    const { rank, targets, batchSize, trainHead, dropout } = plan;
    const numTokens = this.#tokensOf(device, plan);
    const traffic = { scoresUnits: plan.pruning !== null, sendsMeanScores: false };
    const query = { structure, rank, targets, batchSize, numTokens, trainHead, dropout };
    return costOf(this.#shape, { ...query, ...traffic }).gflopsPerStep;
  }

  /** Which units an update says are left. Throws CheckpointError or ConfigError for one that cannot be read. */
  structureOf(update: Uint8Array): Structure {
    const text = Safetensors.fromBytes(update, "update").metadata["structure"];
    const { units } = this.#shape;
    return text === undefined ? fullStructure(units) : decodeStructure(text, units, "update");
  }

  /** Mean length of the padded batches of one pass over the device's examples. */
  #tokensOf(device: number, { batchSize, maxTokens }: TrainPlan): number {
    const key = `${device}/${batchSize}/${maxTokens}`;
    const known = this.#meanTokens.get(key);
    if (known !== undefined) return known;
    const limit = Math.min(maxTokens, this.#shape.maxPositions);
    const lengths = (this.#lengths[device] ?? []).map((length) => Math.min(limit, length));
    const batches = epochBatches(lengths, batchSize, Rng.fromSeed(key));
    const longest = batches.map((batch) => Math.max(...batch.map((i) => lengths[i] ?? 0)));
    const mean = longest.reduce((sum, length) => sum + length, 0) / Math.max(1, longest.length);
    const numTokens = Math.max(1, Math.round(mean));
    this.#meanTokens.set(key, numTokens);
    return numTokens;
  }
}
