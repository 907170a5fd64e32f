/** How long a device will take: its seconds per GFLOP, seconds per megabit and fixed costs, learnt from its own rounds. */
import { entries, fields, integer, text } from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import type { Choice, DeviceView, Outcome } from "./controller.ts";
import { linkOf, linksOf, logLink, transferSeconds } from "./link-law.ts";
import type { Link } from "./link-law.ts";
import { median } from "./reward.ts";
import { follow, followLevel, newTrack, trackShape } from "./track.ts";

const deviceShape = fields({
  type: text,
  /** ln(seconds per GFLOP): power modes and jitter act as factors. */
  compute: trackShape,
  /** ln(seconds per megabit). */
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

/** What is assumed of a device: its own measurements, or those of its kind, as `source` says. */
export interface TimeLaw {
  readonly secondsPerGflop: number;
  /** Standard deviation of ln(seconds per GFLOP). */
  readonly computeSpread: number;
  /** null while nobody's link is measured: then transfers count as instant. */
  readonly up: Link | null;
  readonly down: Link | null;
  readonly overheadSeconds: number;
  /** Rounds in a row without an update. */
  readonly misses: number;
  readonly source: "device" | "type" | "fleet";
}

/** Anything shorter is an error of the clock. */
const shortestStepMs = 0.001;
/** Spread of ln(seconds per GFLOP) that is assumed of a device nobody has measured. */
const unknownSpread = 0.3;
/** How much slower a device is taken for per round in a row that it missed, and how many of them count. */
const missFactor = 1.25;
const mostMisses = 3;
/** Caution about links as a multiple of that about speed: being wrong costs rank, which is cheap, and not pruning, which lasts. */
const linkCaution = 2;

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
    if (bytesUp > 0) follow(known.up, logLink(uploadMs, bytesUp));
    if (bytesDown > 0) follow(known.down, logLink(downloadMs, bytesDown));
  }

  /** Laws of the fleet as it is known now: by device, or else by type, or else of all; null while nobody is measured. */
  laws(): (id: string, type: string) => TimeLaw | null {
    const measured = [...this.#devices.values()].filter(({ compute }) => compute.count > 0);
    if (measured.length === 0) return () => null;
    const links = {
      up: linksOf(measured.map(({ up }) => up)),
      down: linksOf(measured.map(({ down }) => down)),
    };
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
        up: linkOf(links.up, own?.up),
        down: linkOf(links.down, own?.down),
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
 * Seconds of a round under a law. `caution` counts the standard deviations by which the speed may be worse than its mean,
 * links by twice as many; with any caution, missed rounds count too.
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
  const wary = linkCaution * caution;
  const transfer =
    transferSeconds(law.up, bytesUp, wary) + transferSeconds(law.down, bytesDown, wary);
  return { compute, transfer, total: compute + transfer };
}

function unmeasured(type: string): DeviceTimes {
  return {
    ...{ type, compute: newTrack(), up: newTrack(), down: newTrack(), overhead: newTrack() },
    misses: 0,
  };
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
