/** What each operation of a training step computes and allocates: the mirror of src/autograd/ops. */
import { attentionScratchBytes, matmulScratchBytes } from "./scratch.ts";

/** One direction of one operation. */
export interface Work {
  /** Multiplications and additions of matrix products; everything else costs none. */
  readonly flops: number;
  /** Elements, 4 bytes each, of the tensors that stay until the step ends. */
  readonly tensors: readonly number[];
  /** Given back as soon as the operation is done. */
  readonly scratchBytes: number;
}

export interface Operation {
  readonly forward: Work;
  /** null where no gradient passes. */
  readonly backward: Work | null;
}

/** x [M, K] -> [M, N]. */
export interface LinearCall {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** LoRA rank, 0 for none. */
  readonly R: number;
  /** Whether LoRA's path drops inputs. */
  readonly drops: boolean;
  /** Whether a gradient with respect to x is wanted: something below is trained. */
  readonly wantsInput: boolean;
  /** Whether weight and bias are trained. */
  readonly trainsWeight: boolean;
}

/**
 * A linear layer with or without a LoRA pair: 2MNK forward, 2MNK for the gradient of x, 2MNK for that of a
 * trained weight; the pair takes 2MR(N + K) forward, and backward 4MNR + 2MRK, and 2MRK more for x.
 */
export function linear(call: LinearCall): Operation {
  const { M, N, K, R, drops, wantsInput, trainsWeight } = call;
  const hasPair = R > 0;
  const product = 2 * M * N * K;
  const forward = work(
    product + 2 * M * R * (N + K),
    [M * N, ...(hasPair ? [M * R] : []), ...(hasPair && drops ? [M * K] : [])],
    largestScratch(
      hasPair
        ? [
            [M, N, K],
            [M, R, K],
            [M, N, R],
          ]
        : [[M, N, K]],
    ),
  );
  if (!hasPair && !wantsInput && !trainsWeight) return { forward, backward: null };
  const pair = hasPair ? 4 * M * N * R + 2 * M * R * K : 0;
  const ofInput = wantsInput ? product + 2 * M * R * K : 0;
  const tensors = [
    ...(hasPair ? [N * R, M * R, R * K] : []),
    ...(wantsInput ? [M * K] : []),
    ...(wantsInput && hasPair && drops ? [M * K, M * K] : []),
    ...(trainsWeight ? [N * K, N] : []),
  ];
  const products: Product[] = [];
  if (hasPair) products.push([N, R, M], [M, R, N], [R, K, M]);
  if (wantsInput) products.push([M, K, N]);
  if (trainsWeight) products.push([N, K, M]);
  const flops = pair + ofInput + (trainsWeight ? product : 0);
  return { forward, backward: work(flops, tensors, largestScratch(products)) };
}

/** Rows, columns and terms per element. */
type Product = readonly [M: number, N: number, K: number];

function largestScratch(products: readonly Product[]): number {
  return Math.max(...products.map(([M, N, K]) => matmulScratchBytes(M, N, K)));
}

/** B sequences of T tokens, H query heads, G key-value heads of size D. */
export interface AttentionCall {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly G: number;
  readonly D: number;
  readonly isTracked: boolean;
}

/** Scores and their sum over values: 4BHT²D forward, twice that backward; causal masks save nothing in this count. */
export function attention({ B, T, H, G, D, isTracked }: AttentionCall): Operation {
  const flops = 4 * B * H * T * T * D;
  const [q, kv] = [B * T * H * D, B * T * G * D];
  const scratchBytes = attentionScratchBytes(T, D);
  return {
    forward: work(flops, [q, B * H * T * T], scratchBytes),
    backward: isTracked ? work(2 * flops, [q, kv, kv], scratchBytes) : null,
  };
}

/** An operation without matrix products, by the elements it allocates in each direction. */
export function light(
  forward: readonly number[],
  backward: readonly number[],
  isTracked: boolean,
): Operation {
  return { forward: work(0, forward, 0), backward: isTracked ? work(0, backward, 0) : null };
}

function work(flops: number, tensors: readonly number[], scratchBytes: number): Work {
  return { flops, tensors, scratchBytes };
}
