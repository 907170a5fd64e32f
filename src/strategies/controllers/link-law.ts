/** How long transfers take: each device's link as far as links differ between devices, else the fleet's. */
import { memory } from "./track.ts";
import type { Track } from "./track.ts";

/** ln(seconds per megabit): mean and standard deviation of a round's value. */
export interface Link {
  readonly mean: number;
  readonly spread: number;
}

/** Variance of ln(seconds per megabit) from round to round that is assumed before devices have shown theirs, and its weight. */
const usualLink = { variance: 0.3, weight: 3 };
/** Shortest time per megabit that is believed. */
const fastestLink = 1e-6;

/** Links of the fleet: their mean, and how much of their differences is from device to device and from round to round. */
export interface Links {
  readonly mean: number;
  readonly between: number;
  readonly within: number;
}

/** null when none of the tracks, of ln(seconds per megabit) by device, holds a measurement. */
export function linksOf(devices: readonly Track[]): Links | null {
  const tracks = devices.filter(({ count }) => count > 0);
  if (tracks.length === 0) return null;
  const level = mean(tracks.map((track) => track.mean));
  const { variance, weight } = usualLink;
  const repeated = tracks.filter(({ count }) => count > 1);
  const seen = repeated.reduce((sum, track) => sum + track.variance, 0);
  const within = (weight * variance + seen) / (weight + repeated.length);
  // Moving means differ by chance alone; only what is beyond that tells devices apart.
  const chance = within * mean(tracks.map(({ count }) => 1 / Math.min(count, memory)));
  const between = mean(tracks.map((track) => (track.mean - level) ** 2)) - chance;
  return { mean: level, between: Math.max(0, between), within };
}

/** Empirical Bayes: a device's own link as far as links differ between devices, else the fleet's. */
export function linkOf(links: Links | null, own: Track | undefined): Link | null {
  if (links === null) return null;
  const { between, within } = links;
  const count = Math.min(own?.count ?? 0, memory);
  const trust = between > 0 ? count / (count + within / between) : 0;
  const { weight } = usualLink;
  const noise = (weight * within + count * (own?.variance ?? 0)) / (weight + count);
  return {
    mean: links.mean + trust * ((own?.mean ?? links.mean) - links.mean),
    spread: Math.sqrt(noise + (1 - trust) * between),
  };
}

/** Seconds that some bytes take: the mean of a log-normal link, or with caution a value that it exceeds the less often. */
export function transferSeconds(link: Link | null, bytes: number, caution: number): number {
  if (link === null) return 0;
  const { mean, spread } = link;
  const exponent = mean + (caution > 0 ? caution * spread : spread ** 2 / 2);
  return megabits(bytes) * Math.exp(exponent);
}

/** ln(seconds per megabit) of one transfer. */
export function logLink(ms: number, bytes: number): number {
  return Math.log(Math.max(fastestLink, ms / 1000 / megabits(bytes)));
}

function megabits(bytes: number): number {
  return (8 * bytes) / 1e6;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
