/** How long a device will take: its seconds per GFLOP, seconds per megabit and fixed costs, learnt from its own rounds. */
import { entries, fields, integer, nullable, number, text } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import type { Choice, DeviceView, Outcome } from "./controller.ts";
import { median } from "./reward.ts";

const trackShape = fields({
  mean: number(),
  variance: number(0),
  count: integer(0),
  /** Level before the last jump: a single odd round must not make the model forget it. */
  before: nullable(number()),
});
/** A moving mean and variance. */
type Track = ShapeOf<typeof trackShape>;

const deviceShape = fields({
  type: text,
  /** ln(seconds per GFLOP): power modes and jitter act as factors. */
  compute: trackShape,
  /** Seconds per megabit. */
  up: trackShape,
  down: trackShape,
  /** Seconds of training that do not depend on the steps. */
  overhead: trackShape,
  /** Rounds in a row without an update. */
  misses: integer(0),
});
export type DeviceTimes = ShapeOf<typeof deviceShape>;

const readDevices = entries(deviceShape);

/** Seconds of one round by part. */
export interface RoundTime {
  readonly compute: number;
  readonly transfer: number;
  readonly total: number;
}

/** Seconds per megabit: mean and standard deviation. */
export interface Link {
  readonly mean: number;
  readonly spread: number;
}

/** What is assumed of a device: its own measurements, or those of its kind, as `source` says. */
export interface TimeLaw {
  readonly secondsPerGflop: number;
  /** Standard deviation of ln(seconds per GFLOP). */
  readonly computeSpread: number;
  readonly up: Link;
  readonly down: Link;
  readonly overheadSeconds: number;
  /** Rounds in a row without an update. */
  readonly misses: number;
  readonly source: "device" | "type" | "fleet";
}

/** Weight of the newest measurement once there are enough. */
const newest = 0.3;
/** A step of ln(seconds per GFLOP) by so many standard deviations is another power mode; not below 22 %, always beyond a factor of 2. */
const jump = { deviations: 4, least: 0.2, most: Math.LN2 };
/** Anything shorter is an error of the clock. */
const shortestStepMs = 0.001;
/** Spread of ln(seconds per GFLOP) that is assumed of a device nobody has measured. */
const unknownSpread = 0.3;
/** How many measurements of its own outweigh the fleet's mean in what is assumed of a device's link. */
const linkPrior = 3;

/** How much slower a device is taken for per round in a row that it missed, and how many of them count. */
const missFactor = 1.25;
const mostMisses = 3;

export class TimeModel {
  #devices = new Map<string, DeviceTimes>();

  /** Takes in one outcome; a missing update only counts as a miss. */
  learn({ device, cost, result }: Outcome, type: string): void {
    const known = this.#devices.get(device) ?? unmeasured(type);
    this.#devices.set(device, known);
    if (result === null) {
      known.misses++;
      return;
    }
    known.misses = 0;
    const { stepMs, steps, trainMs, uploadMs, downloadMs, bytesUp, bytesDown } = result;
    if (stepMs >= shortestStepMs && cost.gflopsPerStep > 0) {
      followLevel(known.compute, Math.log(stepMs / 1000 / cost.gflopsPerStep));
      follow(known.overhead, Math.max(0, trainMs - steps * stepMs) / 1000);
    }
    if (bytesUp > 0) follow(known.up, uploadMs / 1000 / megabits(bytesUp));
    if (bytesDown > 0) follow(known.down, downloadMs / 1000 / megabits(bytesDown));
  }

  /** Laws of the fleet as it is known now: by device, or else by type, or else of all; null while nobody is measured. */
  laws(): (id: string, type: string) => TimeLaw | null {
    const measured = [...this.#devices.values()].filter(({ compute }) => compute.count > 0);
    if (measured.length === 0) return () => null;
    const links = { up: pool(measured, "up"), down: pool(measured, "down") };
    const types = new Map<string, Kind>();
    const fleet = kindOf(measured);
    for (const { type } of measured) {
      if (!types.has(type)) types.set(type, kindOf(measured.filter((one) => one.type === type)));
    }
    return (id, type) => {
      const own = this.#devices.get(id);
      const isMeasured = own !== undefined && own.compute.count > 0;
      const kind = types.get(type) ?? fleet;
      return {
        secondsPerGflop: Math.exp(isMeasured ? own.compute.mean : kind.level),
        computeSpread: isMeasured ? Math.sqrt(own.compute.variance) : kind.spread,
        overheadSeconds: isMeasured ? own.overhead.mean : kind.overhead,
        up: drawnTo(links.up, own?.up),
        down: drawnTo(links.down, own?.down),
        misses: own?.misses ?? 0,
        source: isMeasured ? "device" : types.has(type) ? "type" : "fleet",
      };
    };
  }

  export(): unknown {
    return structuredClone([...this.#devices]);
  }

  /** Throws ConfigError for what {@link export} did not write. */
  restore(state: unknown, at: string): void {
    this.#devices = readDevices(state, at);
  }
}

/**
 * Seconds of a round under a law. `caution` counts the standard deviations by which speed and links may be worse than their
 * means; with any caution, missed rounds count too.
 */
export function roundTime(
  law: TimeLaw,
  view: Pick<DeviceView, "cost">,
  choice: Choice,
  steps: number,
  caution = 0,
): RoundTime {
  const { gflopsPerStep, bytesUp, bytesDown } = view.cost(choice);
  const missed = caution > 0 ? missFactor ** Math.min(law.misses, mostMisses) : 1;
  const slower = missed * Math.exp(caution * law.computeSpread);
  const compute = law.overheadSeconds + steps * gflopsPerStep * law.secondsPerGflop * slower;
  const transfer =
    megabits(bytesUp) * (law.up.mean + caution * law.up.spread) +
    megabits(bytesDown) * (law.down.mean + caution * law.down.spread);
  return { compute, transfer, total: compute + transfer };
}

function unmeasured(type: string): DeviceTimes {
  const track = (): Track => ({ mean: 0, variance: 0, count: 0, before: null });
  return { type, compute: track(), up: track(), down: track(), overhead: track(), misses: 0 };
}

function follow(track: Track, value: number): void {
  const share = Math.max(newest, 1 / (track.count + 1));
  const difference = value - track.mean;
  track.mean += share * difference;
  track.variance = (1 - share) * (track.variance + share * difference ** 2);
  track.count++;
}

/** Follows small steps slowly and large ones at once; a level that comes back after one odd round is taken up again. */
function followLevel(track: Track, value: number): void {
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

/** What devices of one kind have in common, for one that is not measured itself. */
interface Kind {
  readonly level: number;
  readonly spread: number;
  readonly overhead: number;
}

function kindOf(devices: readonly DeviceTimes[]): Kind {
  const levels = devices.map(({ compute }) => compute.mean);
  const level = median(levels);
  // Half of a normal distribution lies within 0.67 standard deviations of the median.
  const spread = 1.5 * median(levels.map((one) => Math.abs(one - level)));
  const overhead = median(devices.map((device) => device.overhead.mean));
  return { level, spread: Math.max(unknownSpread, spread), overhead };
}

/** Mean link of the fleet, and how far a round of any device lies from it. */
function pool(devices: readonly DeviceTimes[], direction: "up" | "down"): Link {
  const tracks = devices.map((device) => device[direction]).filter(({ count }) => count > 0);
  if (tracks.length === 0) return { mean: 0, spread: 0 };
  const level = mean(tracks.map((track) => track.mean));
  const variance = mean(tracks.map((track) => track.variance + (track.mean - level) ** 2));
  return { mean: level, spread: Math.sqrt(variance) };
}

/** The fleet's link, and the device's own the more it has been measured. */
function drawnTo(fleet: Link, own: Track | undefined): Link {
  const count = own?.count ?? 0;
  const blend = (mine: number, theirs: number): number =>
    (count * mine + linkPrior * theirs) / (count + linkPrior);
  return {
    mean: blend(own?.mean ?? 0, fleet.mean),
    spread: Math.sqrt(blend(own?.variance ?? 0, fleet.spread ** 2)),
  };
}

function megabits(bytes: number): number {
  return (8 * bytes) / 1e6;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
