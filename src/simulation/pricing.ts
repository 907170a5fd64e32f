/** What a device's training costs, counted by the cost model on the lengths of its own texts. */
import type { ModelShape } from "../base/model-shape.ts";
import { decodeStructure, fullStructure, type Structure } from "../base/structure.ts";
import type { Example } from "../data/examples.ts";
import { costOf } from "../cost/approximate.ts";
import { Safetensors } from "../io/safetensors.ts";
import type { TrainPlan } from "../protocol/messages.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export class Pricing {
  readonly #shape: ModelShape;
  /** Tokens of each example, uncut, by device. */
  readonly #lengths: readonly (readonly number[])[];

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

  /** Mean length of the device's examples as it trains on them. */
  #tokensOf(device: number, { maxTokens }: TrainPlan): number {
    const limit = Math.min(maxTokens, this.#shape.maxPositions);
    const lengths = this.#lengths[device] ?? [];
    const total = lengths.reduce((sum, length) => sum + Math.min(limit, length), 0);
    return Math.max(1, Math.round(total / Math.max(1, lengths.length)));
  }
}
