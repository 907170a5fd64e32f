/** What a round was worth for a device: bounded parts that compare it with the others of the same round. */
import { fields, number } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import type { Outcome } from "./controller.ts";

const part = number(0, 1);

/** Reader of saved {@link RewardParts}. */
export const rewardPartsShape = fields({
  /** Loss at the device's last end minus loss now, so that what pruning has cost counts; half for the round's median. */
  improvement: part,
  /** Loss at the first step minus loss at the last one; half for the round's median. */
  learning: part,
  /** Sparsity added, as a share of what the corridor allowed. */
  progress: part,
  /** Importance of the update; half for the round's median. */
  importance: part,
  /** 1 for training that ends by the round's median completion time, then falling with the logarithm of the ratio. */
  compute: part,
  /** 1 less the time beyond that median that transfers add, in units of the median. */
  transfer: part,
});

/** Every part in [0, 1], 1 is best; a device without an update has 0 everywhere. */
export type RewardParts = Readonly<ShapeOf<typeof rewardPartsShape>>;

/** What rewards need to know of a device besides its outcome. */
export interface Before {
  /** Loss at the end of its last round; null before the first. */
  readonly loss: number | null;
  /** Highest sparsity that it could have been asked. */
  readonly maxSparsity: number;
}

const nothing: RewardParts = {
  ...{ improvement: 0, learning: 0, progress: 0, importance: 0, compute: 0, transfer: 0 },
};

/** Times the median at which training time is worth nothing any more: boards of one fleet differ that much. */
const latest = 16;

/** Parts by device, for all outcomes of a round at once. */
export function rewardParts(
  outcomes: readonly Outcome[],
  before: (device: string) => Before,
): Map<string, RewardParts> {
  const arrived = outcomes.flatMap(({ device, result }) => {
    if (result === null) return [];
    const { loss, maxSparsity } = before(device);
    const { lossFirst, lossLast, sparsity, sparsityBefore } = result;
    const gained = { since: (loss ?? lossFirst) - lossLast, within: lossFirst - lossLast };
    const room = maxSparsity - sparsityBefore;
    const progress = room > 0 ? clip((sparsity - sparsityBefore) / room) : 1;
    return [{ device, result, gained, progress }];
  });
  const medianOf = (read: (one: (typeof arrived)[number]) => number): number =>
    median(arrived.map(read));
  const medianSince = medianOf(({ gained }) => gained.since);
  const medianWithin = medianOf(({ gained }) => gained.within);
  const medianImportance = medianOf(({ result }) => result.importance);
  const medianMs = medianOf(({ result }) => result.completionMs);

  const parts = new Map<string, RewardParts>(outcomes.map(({ device }) => [device, nothing]));
  for (const { device, result, gained, progress } of arrived) {
    parts.set(device, {
      improvement: saturated(gained.since, medianSince),
      learning: saturated(gained.within, medianWithin),
      progress,
      importance: saturated(result.importance, medianImportance),
      compute: punctuality(result.trainMs, medianMs),
      transfer: transferPart(result.trainMs, result.completionMs, medianMs),
    });
  }
  return parts;
}

/** Half for the median, 1 from twice the median on; where the median is no gain, only the sign counts. */
function saturated(value: number, middle: number): number {
  if (middle > 0) return clip(value / middle / 2);
  return value > 0 ? 1 : value < 0 ? 0 : 0.5;
}

/** The logarithm keeps a slope for devices that are many times slower than the median. */
function punctuality(ms: number, medianMs: number): number {
  if (medianMs <= 0 || ms <= medianMs) return 1;
  return clip(1 - Math.log(ms / medianMs) / Math.log(latest));
}

function transferPart(trainMs: number, completionMs: number, medianMs: number): number {
  if (medianMs <= 0) return 1;
  return clip(1 - Math.max(0, completionMs - Math.max(trainMs, medianMs)) / medianMs);
}

function clip(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** Middle value, the mean of the two middle ones for an even number, 0 for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
