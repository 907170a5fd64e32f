/** A moving mean and variance that can be saved, and one that also follows sudden changes of level. */
import { fields, integer, nullable, number } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";

/** Reader of a saved {@link Track}. */
export const trackShape = fields({
  mean: number(),
  variance: number(0),
  count: integer(0),
  /** Level before the last jump: a single odd round must not make the model forget it. */
  before: nullable(number()),
});
export type Track = ShapeOf<typeof trackShape>;

/** Weight of the newest measurement once there are enough. */
const newest = 0.3;
/** Measurements that a moving mean with that weight is worth. */
export const memory = (2 - newest) / newest;

/** A step of ln(seconds per GFLOP) by so many standard deviations is another power mode; not below 22 %, always beyond a factor of 2. */
const jump = { deviations: 4, least: 0.2, most: Math.LN2 };

export function newTrack(): Track {
  return { mean: 0, variance: 0, count: 0, before: null };
}

export function follow(track: Track, value: number): void {
  const share = Math.max(newest, 1 / (track.count + 1));
  const difference = value - track.mean;
  track.mean += share * difference;
  track.variance = (1 - share) * (track.variance + share * difference ** 2);
  track.count++;
}

/** Follows small steps slowly and large ones at once; a level that comes back after one odd round is taken up again. */
export function followLevel(track: Track, value: number): void {
  const noise = jump.deviations * Math.sqrt(track.variance);
  const limit = Math.min(jump.most, Math.max(jump.least, noise));
  if (track.count === 0 || Math.abs(value - track.mean) <= limit) {
    follow(track, value);
    return;
  }
  const isBack = track.before !== null && Math.abs(value - track.before) <= limit;
  const level = isBack && track.before !== null ? track.before : value;
  track.before = track.mean;
  track.mean = level;
  track.count++;
}
