/** A toy fleet for controllers: 80 boards of three types whose speed, links and learning follow laws that no controller is told. */
import { Rng } from "../../src/base/rng.ts";
import type {
  Choice,
  ChoiceCost,
  DeviceView,
  Outcome,
} from "../../src/strategies/controllers/controller.ts";

/** Seconds per unpruned step at the fastest power mode are uniform in `seconds`. */
const kinds = [
  { type: "tx2", count: 30, cores: 6, seconds: [4, 16] },
  { type: "nx", count: 40, cores: 6, seconds: [1, 6] },
  { type: "agx", count: 10, cores: 8, seconds: [0.25, 2.5] },
] as const;
const modeFactors = [1, 1.5, 2, 3];
const roundsPerMode = 20;
const jitter = 0.05;
/** Mb/s, uniform in every round, or log-uniform once for each board. */
const linkMbps = [1, 30] as const;
const ownLinkMbps = [0.3, 30] as const;
/** Of a reported loss: it is that of one batch. */
const lossNoise = 0.03;
/** RoBERTa-base, a batch of 16 texts of 128 tokens, forward and backward with LoRA. */
const gflopsPerStep = 700;
/** Of a step, what pruning does not shorten: embeddings, norms, the optimiser. The cost model does not know of it. */
const fixedShare = 0.05;
const ranks = [2, 4, 8, 16, 32];

export interface WorldSettings {
  readonly seed: number | string;
  /** LoRA bytes per unit of rank at sparsity 0, and the part of them that shrinks in proportion to sparsity. */
  readonly bytesPerRank: number;
  readonly prunedShare: number;
  /** Rank at which half of the possible learning per step is reached. */
  readonly halfRank: number;
  /** How much high ranks hurt: learning falls by the factor exp(-overfit * rank). */
  readonly overfit: number;
  /** Whether a board keeps its link, between 0.3 and 30 Mb/s with 30 % noise, or draws one from 1 to 30 Mb/s in every round. */
  readonly hasOwnLinks: boolean;
  /** Share of the updates that never arrive. */
  readonly lossRate: number;
}

/** One board: hidden facts, and its model as pruned so far. */
export interface Board {
  readonly id: string;
  readonly type: string;
  readonly cores: number;
  readonly stepSeconds: number;
  readonly linkMbps: number;
  /** Its data are harder or easier than the mean. */
  readonly difficulty: number;
  mode: number;
  sparsity: number;
  /** Loss by recent pruning that training has not yet recovered. */
  shock: number;
}

export class World {
  readonly boards: readonly Board[];
  readonly #settings: WorldSettings;
  readonly #rng: Rng;
  /** Loss of the unpruned model with the global adapter, mean over the boards. */
  loss = 2;

  constructor(settings: WorldSettings) {
    this.#settings = settings;
    this.#rng = Rng.fromSeed(settings.seed).fork("world");
    this.boards = kinds.flatMap(({ type, count, cores, seconds: [low, high] }) =>
      Array.from({ length: count }, (_, i) => ({
        ...{ id: `${type}-${i}`, type, cores, mode: 1, sparsity: 0, shock: 0 },
        stepSeconds: this.#uniform(low, high),
        linkMbps: Math.exp(this.#uniform(Math.log(ownLinkMbps[0]), Math.log(ownLinkMbps[1]))),
        difficulty: Math.exp(0.15 * this.#rng.normal()),
      })),
    );
  }

  /** Power modes are redrawn in the first round and every 20 rounds from there. */
  beginRound(round: number): void {
    if ((round - 1) % roundsPerMode !== 0) return;
    for (const board of this.boards) board.mode = this.#rng.pick(modeFactors);
  }

  participants(count: number): Board[] {
    return this.#rng.shuffle([...this.boards]).slice(0, count);
  }

  view(board: Board, minSparsity: number, maxSparsity: number): DeviceView {
    const { id, type, cores, sparsity } = board;
    return {
      ...{ id, type, cores, sparsity, minSparsity, maxSparsity, ranks },
      cost: (choice) => this.#cost(choice),
    };
  }

  /** Trains with the given choices and moves the global adapter on by the mean gain of those that arrive. */
  train(choices: ReadonlyMap<Board, Choice>, steps: number): Outcome[] {
    let totalLearnt = 0;
    let numArrived = 0;
    const outcomes = [...choices].map(([board, choice]): Outcome => {
      const { outcome, learnt } = this.#trainBoard(board, choice, steps);
      if (this.#rng.next() < this.#settings.lossRate) return { ...outcome, result: null };
      totalLearnt += learnt;
      numArrived++;
      return outcome;
    });
    if (numArrived > 0) this.loss -= totalLearnt / numArrived;
    return outcomes;
  }

  /** Mean over the fleet of the loss of each board's own pruned model. */
  fleetLoss(): number {
    const losses = this.boards.map((board) => this.loss + damage(board));
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
  }

  #trainBoard(board: Board, choice: Choice, steps: number) {
    const { bytesPerRank, halfRank, overfit, hasOwnLinks } = this.#settings;
    const sparsityBefore = board.sparsity;
    // What is cut hurts at once and is trained away; see damage() for what stays.
    board.shock += 1.5 * Math.max(0, choice.sparsity - sparsityBefore);
    board.sparsity = choice.sparsity;
    const before = board.difficulty * (this.loss + damage(board));
    const capacity = choice.rank / (choice.rank + halfRank);
    const rate = 0.06 * capacity * Math.exp(-overfit * choice.rank);
    // A damaged model also teaches the fleet less.
    const learnt = (rate * Math.max(0, this.loss - 0.25)) / (1 + damage(board));
    const recovered = board.shock * (1 - 0.5 ** (steps / 20));
    board.shock -= recovered;
    const after = before - board.difficulty * (learnt + recovered);

    const cost = this.#cost(choice);
    const speed = (fixedShare + (1 - fixedShare) * (1 - choice.sparsity)) * this.#noise(jitter);
    const stepMs = 1000 * board.stepSeconds * board.mode * speed;
    const mbps = hasOwnLinks ? board.linkMbps * this.#noise(0.3) : this.#uniform(...linkMbps);
    const bitsPerMs = 1000 * mbps;
    const uploadMs = (8 * cost.bytesUp) / bitsPerMs;
    const downloadMs = (8 * cost.bytesDown) / bitsPerMs;
    const result = {
      ...{ stepMs, trainMs: steps * stepMs, uploadMs, downloadMs, steps, sparsityBefore },
      ...{ bytesUp: cost.bytesUp, bytesDown: cost.bytesDown, sparsity: choice.sparsity },
      completionMs: steps * stepMs + uploadMs + downloadMs,
      lossFirst: before * this.#noise(lossNoise),
      lossLast: after * this.#noise(lossNoise),
      heldOutLoss: before * this.#noise(0.02),
      importance: (before - after) * bytesPerRank * 1e-6 * this.#noise(0.3),
      numSamples: 600,
    };
    return { outcome: { device: board.id, choice, cost, result }, learnt };
  }

  #cost({ sparsity, rank }: Choice): ChoiceCost {
    const { bytesPerRank, prunedShare } = this.#settings;
    const bytes = rank * bytesPerRank * (1 - prunedShare * sparsity);
    return {
      gflopsPerStep: gflopsPerStep * (1 - sparsity) * (1 + 0.0005 * rank),
      bytesUp: bytes,
      bytesDown: bytes,
      memoryBytes: 5e8 * (1 - sparsity) + 3 * bytes,
    };
  }

  #uniform(low: number, high: number): number {
    return low + (high - low) * this.#rng.next();
  }

  #noise(spread: number): number {
    return Math.exp(spread * this.#rng.normal());
  }
}

/** What pruning costs a board: it stays for the cubic part, and the shock of the last prunings passes. */
function damage({ sparsity, shock }: Board): number {
  return 0.8 * sparsity ** 3 + shock;
}
