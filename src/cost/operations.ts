/** What each operation of a training step computes and how long its tensors live: the mirror of src/autograd/ops. */
import { attentionScratchBytes, matmulScratchBytes } from "./scratch.ts";

/** A tensor of the step, known by identity. */
export interface Value {
  /** Of 4 bytes each. */
  readonly elements: number;
  /** Whether a gradient reaches it: something below it is trained. */
  readonly isTracked: boolean;
  /** Whether someone looks at it and at its gradient after the backward pass. */
  readonly isWatched: boolean;
}

export interface Operation {
  readonly out: Value;
  /** The tensors of the step that it reads and may pass a gradient to. */
  readonly inputs: readonly Value[];
  /** What the backward pass reads: inputs, the result, and tensors that forward makes for this. */
  readonly saved: readonly Value[];
  readonly forward: Work;
  /** null where no gradient passes. */
  readonly backward: BackwardWork | null;
}

/** One direction of one operation. */
export interface Work {
  /** Multiplications and additions of matrix products; everything else costs none. */
  readonly flops: number;
  /** Elements of the tensors that are gone when it is done. */
  readonly passing: readonly number[];
  /** Largest scratch of one kernel. */
  readonly scratchBytes: number;
}

export interface BackwardWork extends Work {
  /** Elements of the gradient that it makes for each input, 0 for none; null when the result's own gradient is passed on. */
  readonly makes: readonly number[] | null;
  /** Whether its one gradient takes the place of the result's where nobody else needs that. */
  readonly isInPlace?: boolean;
  /** The gradient of the one input, where forward has made it. */
  readonly made?: Value;
  /** Elements of the gradients of trained weights. */
  readonly leaves: readonly number[];
}

/** A tensor that no gradient reaches. */
export function constant(elements: number): Value {
  return { elements, isTracked: false, isWatched: false };
}

function result(elements: number, isTracked: boolean, isWatched = false): Value {
  return { elements, isTracked: isTracked || isWatched, isWatched };
}

function work(flops: number, passing: readonly number[] = [], scratchBytes = 0): Work {
  return { flops, passing, scratchBytes };
}

/** x [M, K] -> [M, N]. */
export interface LinearCall {
  readonly x: Value;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** LoRA rank, 0 for none. */
  readonly R: number;
  /** Whether LoRA's path drops inputs. */
  readonly drops: boolean;
  /** Whether weight and bias are trained. */
  readonly trainsWeight: boolean;
}

/**
 * A linear layer with or without a LoRA pair: 2MNK forward, 2MNK for the gradient of x, 2MNK for that of a
 * trained weight; the pair takes 2MR(N + K) forward, and backward 4MNR + 2MRK, and 2MRK more for x.
 */
export function linear(call: LinearCall): Operation {
  const { x, M, N, K, R, drops, trainsWeight } = call;
  const hasPair = R > 0;
  const product = 2 * M * N * K;
  const wantsInput = x.isTracked;
  const out = result(M * N, hasPair || wantsInput || trainsWeight);
  const isDropped = hasPair && drops;
  const kept = isDropped ? constant(M * K) : x;
  const saved = [...(hasPair ? [kept, constant(M * R)] : []), ...(trainsWeight ? [x] : [])];
  const forwardProducts: Product[] = [[M, N, K]];
  if (hasPair) forwardProducts.push([M, R, K], [M, N, R]);
  const forward = work(product + 2 * M * R * (N + K), [], largestScratch(forwardProducts));
  if (!out.isTracked) return { out, inputs: [x], saved, forward, backward: null };
  const pair = hasPair ? 4 * M * N * R + 2 * M * R * K : 0;
  const ofInput = wantsInput ? product + 2 * M * R * K : 0;
  const products: Product[] = [];
  if (hasPair) products.push([N, R, M], [M, R, N], [R, K, M]);
  if (wantsInput) products.push([M, K, N]);
  if (trainsWeight) products.push([N, K, M]);
  const passing = [...(hasPair ? [M * R] : []), ...(wantsInput && isDropped ? [M * K, M * K] : [])];
  const flops = pair + ofInput + (trainsWeight ? product : 0);
  const backward = {
    ...work(flops, passing, largestScratch(products)),
    makes: [wantsInput ? M * K : 0],
    leaves: [...(hasPair ? [N * R, R * K] : []), ...(trainsWeight ? [N * K, N] : [])],
  };
  return { out, inputs: [x], saved, forward, backward };
}

/** Blocks of src/autograd/ops/vocabulary-loss.ts. */
const BLOCK_ROWS = 120;
const BLOCK_BYTES = 8 << 20;
const TILE_ROWS = 10;

/** Rows whose logits of V words are held at a time, of M rows. */
export function vocabularyBlockRows(M: number, V: number): number {
  const most = BLOCK_ROWS * Math.max(1, Math.floor(BLOCK_BYTES / (4 * V * BLOCK_ROWS)));
  const blocks = Math.max(1, Math.round(M / most));
  return TILE_ROWS * Math.ceil(M / (blocks * TILE_ROWS));
}

/** x [M, C] against a frozen table [V, C] and labels: 2MVC for the logits and as much for the gradient of x, all forward. */
export function vocabularyLoss(x: Value, V: number, C: number): Operation {
  const M = x.elements / C;
  const R = Math.min(M, vocabularyBlockRows(M, V));
  const products: Product[] = [[R, V, C]];
  if (x.isTracked) products.push([R, C, V]);
  const gradient = x.isTracked ? constant(M * C) : null;
  const flops = 2 * M * V * C * products.length;
  return {
    out: result(1, x.isTracked),
    inputs: [x],
    saved: gradient === null ? [] : [gradient],
    forward: work(flops, [M, M, R * V], largestScratch(products)),
    backward: gradient === null ? null : { ...work(0), makes: [M * C], made: gradient, leaves: [] },
  };
}

/** Rows, columns and terms per element. */
type Product = readonly [M: number, N: number, K: number];

function largestScratch(products: readonly Product[]): number {
  return Math.max(...products.map(([M, N, K]) => matmulScratchBytes(M, N, K)));
}

/** B sequences of T tokens, H query heads, G key-value heads of size D. */
export interface AttentionCall {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly G: number;
  readonly D: number;
  readonly isWatched: boolean;
}

/** Scores and their sum over values: 4BHT²D forward, 10BHT²D backward, scores once more; causal masks save nothing in this count. */
export function attention({ q, k, v, B, T, H, G, D, isWatched }: AttentionCall): Operation {
  const product = 2 * B * H * T * T * D;
  const inputs = [q, k, v];
  const isTracked = inputs.some((input) => input.isTracked);
  const [outSize, kvSize] = [B * T * H * D, B * T * G * D];
  const scratchBytes = attentionScratchBytes(T, D);
  const out = result(outSize, isTracked, isWatched);
  return {
    out,
    inputs,
    saved: [...inputs, out, constant(B * T * H)],
    forward: work(2 * product, [], scratchBytes),
    backward: isTracked
      ? { ...work(5 * product, [], scratchBytes), makes: [outSize, kvSize, kvSize], leaves: [] }
      : null,
  };
}

/** An operation without matrix products. */
export interface LightCall {
  readonly inputs: readonly Value[];
  readonly elements: number;
  /** Inputs that the backward pass reads. */
  readonly saves?: readonly Value[];
  readonly savesOut?: boolean;
  /** Elements of tensors that forward makes for the backward pass. */
  readonly keeps?: readonly number[];
  readonly passing?: readonly number[];
  readonly passesGradientOn?: boolean;
  readonly isInPlace?: boolean;
  readonly isWatched?: boolean;
}

/** Gradients have the sizes of the inputs, wanted or not. */
export function light(call: LightCall): Operation {
  const { inputs, elements, saves = [], keeps = [], isWatched = false } = call;
  const isTracked = inputs.some((input) => input.isTracked);
  const out = result(elements, isTracked, isWatched);
  const makes = call.passesGradientOn === true ? null : inputs.map((input) => input.elements);
  return {
    out,
    inputs,
    saved: [...saves, ...keeps.map(constant), ...(call.savesOut === true ? [out] : [])],
    forward: work(0, call.passing),
    backward: isTracked
      ? { ...work(0), makes, leaves: [], isInPlace: call.isInPlace === true }
      : null,
  };
}
