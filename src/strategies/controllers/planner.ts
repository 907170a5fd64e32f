/** The plan of a round by prediction: one deadline for all, and for each device the choice that gives up least to meet it. */
import {
  entries,
  fields,
  flag,
  integer,
  nullable,
  number,
  oneOf,
  opaque,
  text,
} from "../plain-shapes.ts";
import type { ShapeOf } from "../plain-shapes.ts";
import type { Choice, DeviceView, Explanation, Outcome, RoundView } from "./controller.ts";
import { hurried, leastSacrifice, shortestRound } from "./deadline.ts";
import type { DeadlineSettings, Timed } from "./deadline.ts";
import { nearestRank, nearestSparsity } from "./feasible.ts";
import type { Link } from "./link-law.ts";
import { roundTime, TimeModel } from "./time-model.ts";
import type { TimeLaw } from "./time-model.ts";

export interface PlannerSettings extends DeadlineSettings {
  /** Share of the usual deadline that lasting pruning is made to fit: it also serves later rounds with faster company. */
  readonly foresight: number;
}

/** Ranges and defaults of {@link PlannerSettings}, for the controllers that plan. */
export const plannerShapes = {
  rank: integer(1),
  rankWeight: number(0, 10),
  caution: number(0, 5),
  foresight: number(0, 1),
};
export const plannerDefaults = { rank: 8, rankWeight: 0.25, caution: 1, foresight: 0.7 };

/** Why a device's predicted point is where it is. */
const reasons = {
  unknown: "nobody was measured yet, so the reference ramp and the usual rank",
  free: "its deadline leaves it the least pruning and the largest rank",
  bound: "the least pruning and the largest rank that should meet its deadline",
  late: "it cannot meet the deadline with certainty, so it hurries as far as it may",
} as const;
type Situation = keyof typeof reasons;

/** What the prediction says for one device. */
export interface Point {
  /** The device with its corridor as foresight leaves it, and its law; null while nobody is measured. */
  readonly timed: Timed | null;
  readonly choice: Choice;
  readonly situation: Situation;
}

export interface Plan {
  /** Seconds; null while nobody is measured. */
  readonly deadline: number | null;
  readonly points: ReadonlyMap<string, Point>;
}

/** Weight of the newest round in the usual deadline. */
const newest = 0.1;

const seconds = fields({ compute: number(0), transfer: number(0), total: number(0) });
const link = nullable(fields({ mean: number(), spread: number(0) }));
const forecastShape = fields({
  type: text,
  situation: oneOf("unknown", "free", "bound", "late"),
  deadline: nullable(number(0)),
  law: nullable(
    fields({
      ...{ secondsPerGflop: number(0), computeSpread: number(0), up: link, down: link },
      ...{ overheadSeconds: number(0), misses: integer(0) },
      source: oneOf("device", "type", "fleet"),
    }),
  ),
  predicted: nullable(seconds),
  measured: nullable(seconds),
});
const readState = fields({
  isReversible: flag,
  usual: nullable(number(0)),
  forecasts: entries(forecastShape),
  times: opaque,
});

export class Planner {
  readonly #settings: PlannerSettings;
  readonly #times = new TimeModel();
  #forecasts = new Map<string, ShapeOf<typeof forecastShape>>();
  /** Whether a corridor has ever reached below what a device had pruned: then units come back and nothing lasts. */
  #isReversible = false;
  /** Moving mean of the shortest possible rounds. */
  #usual: number | null = null;

  constructor(settings: PlannerSettings) {
    this.#settings = settings;
  }

  plan(views: readonly DeviceView[], round: RoundView): Plan {
    this.#isReversible ||= views.some(({ minSparsity, sparsity }) => minSparsity < sparsity);
    const law = this.#times.laws();
    const fleet = views.map((view) => ({ view, law: law(view.id, view.type) }));
    const known = fleet.filter((one): one is Timed => one.law !== null);
    const deadline = known.length > 0 ? shortestRound(known, round, this.#settings.rank) : null;
    if (deadline !== null) {
      this.#usual =
        this.#usual === null ? deadline : this.#usual + newest * (deadline - this.#usual);
    }
    const points = fleet.map(({ view, law }): [string, Point] => {
      if (law === null || deadline === null) return [view.id, this.#unknown(view, round)];
      return [view.id, this.#point({ view, law }, deadline, round)];
    });
    return { deadline, points: new Map(points) };
  }

  /** Keeps what was chosen in the end, for the comparison with what will be measured. */
  note(view: DeviceView, choice: Choice, round: RoundView, { deadline, points }: Plan): void {
    const { timed, situation } = points.get(view.id) ?? { timed: null, situation: "unknown" };
    const law = timed?.law ?? null;
    this.#forecasts.set(view.id, {
      ...{ type: view.type, situation, deadline, law },
      predicted: law === null ? null : roundTime(law, view, choice, round.steps),
      measured: null,
    });
  }

  learn(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const forecast = this.#forecasts.get(outcome.device);
      if (forecast === undefined) continue;
      this.#times.learn(outcome, forecast.type);
      if (outcome.result === null) continue;
      const { trainMs, uploadMs, downloadMs, completionMs } = outcome.result;
      forecast.measured = {
        compute: trainMs / 1000,
        transfer: (uploadMs + downloadMs) / 1000,
        total: completionMs / 1000,
      };
    }
  }

  export(): unknown {
    const state = {
      isReversible: this.#isReversible,
      usual: this.#usual,
      forecasts: [...this.#forecasts],
      times: this.#times.export(),
    };
    return structuredClone(state);
  }

  /** Throws ConfigError for what {@link export} did not write. */
  restore(state: unknown, at: string): void {
    const { isReversible, usual, forecasts, times } = readState(state, at);
    this.#times.restore(times, `${at}: times`);
    this.#isReversible = isReversible;
    this.#usual = usual;
    this.#forecasts = forecasts;
  }

  /** Why the predicted point was what it was; for devices that {@link note} knows. */
  reason(deviceId: string): string {
    return reasons[this.#forecasts.get(deviceId)?.situation ?? "unknown"];
  }

  /** The law that the last choice was based on, and its prediction beside the measurement. */
  tables(deviceId: string): Explanation["tables"] {
    const forecast = this.#forecasts.get(deviceId);
    if (forecast === undefined || forecast.law === null) return [];
    const { law, deadline, predicted, measured } = forecast;
    const row = (name: string, part: keyof ShapeOf<typeof seconds>): (string | number)[] => [
      name,
      predicted?.[part] ?? "unknown",
      measured?.[part] ?? "not yet",
    ];
    return [
      lawTable(law),
      {
        title: "Seconds of the round",
        columns: ["of", "predicted", "measured"],
        rows: [
          row("training", "compute"),
          row("transfer", "transfer"),
          row("all", "total"),
          ["the common deadline", deadline ?? "unknown", ""],
        ],
      },
    ];
  }

  #unknown(view: DeviceView, round: RoundView): Point {
    const sparsity = nearestSparsity(view, round.referenceSparsity);
    const choice = { sparsity, rank: nearestRank(view, this.#settings.rank) };
    return { timed: null, choice, situation: "unknown" };
  }

  #point(timed: Timed, deadline: number, round: RoundView): Point {
    const { view, law } = timed;
    const { rank, foresight } = this.#settings;
    const sooner = Math.min(deadline, foresight * (this.#usual ?? deadline));
    const early = this.#isReversible ? view.minSparsity : this.#leastSparsity(timed, sooner, round);
    const ahead: Timed = { law, view: { ...view, minSparsity: early } };
    const last = hurried(timed, round, rank);
    const choice = leastSacrifice(ahead, deadline, round, this.#settings, last.rank);
    if (choice === null) return { timed: ahead, choice: last, situation: "late" };
    const isFree = choice.sparsity <= view.minSparsity && choice.rank === view.ranks.at(-1);
    return { timed: ahead, choice, situation: isFree ? "free" : "bound" };
  }

  /** The least pruning within a deadline, whatever rank that takes; the most where none is enough. */
  #leastSparsity(timed: Timed, deadline: number, round: RoundView): number {
    const settings = { ...this.#settings, rankWeight: 0 };
    return leastSacrifice(timed, deadline, round, settings)?.sparsity ?? timed.view.maxSparsity;
  }
}

function lawTable(law: TimeLaw): Explanation["tables"][number] {
  const sources = {
    device: "its own rounds",
    type: "other devices of its type",
    fleet: "the whole fleet",
  };
  const mbps = (link: Link | null): number | string =>
    link === null ? "unknown" : Math.exp(-link.mean);
  return {
    title: `Time model, from ${sources[law.source]}`,
    columns: ["s/GFLOP", "spread, factor", "Mb/s up", "Mb/s down", "fixed s", "missed rounds"],
    rows: [
      [
        ...[law.secondsPerGflop, Math.exp(law.computeSpread), mbps(law.up), mbps(law.down)],
        ...[law.overheadSeconds, law.misses],
      ],
    ],
  };
}
