/** Judges sound updates by what they would do to the global adapter: how far they lie from their start, and what weight they claim. */
import type { AdapterState } from "../base/adapter.ts";
import type { Structure } from "../base/structure.ts";
import { type ChangeNorm, changeNorm } from "../strategies/screening/change-norm.ts";
import { NormBound } from "../strategies/screening/norm-bound.ts";
import { mostSamples } from "../strategies/screening/sample-cap.ts";
import type { RunEvent } from "./run-events.ts";
import type { ValidationConfig } from "./strategy-config.ts";
import type { HeldUpdate } from "./update-inbox.ts";

/** What is known of an update before it counts. */
export interface Appraisal {
  readonly norm: ChangeNorm;
  /** Trained from fresh factors: its norm says nothing about those of later rounds. */
  readonly isFresh: boolean;
}

/** What its device was sent, at the rank and with the units that the update has; null before there is a global adapter. */
export type StartOf = (update: {
  readonly rank: number;
  readonly structure: Structure;
  /** The round whose adapter it was trained from. */
  readonly round: number;
}) => AdapterState | null;

export interface Screened {
  readonly kept: readonly HeldUpdate[];
  /** Dropped updates and capped claims. */
  readonly events: readonly RunEvent[];
}

export class UpdateScreen {
  readonly #config: ValidationConfig;
  readonly #startOf: StartOf;
  readonly #bound: NormBound | null;

  constructor(config: ValidationConfig, startOf: StartOf) {
    const { normFactor: factor, warmup, window } = config;
    this.#config = config;
    this.#startOf = startOf;
    this.#bound = factor === null ? null : new NormBound({ factor, warmup, window });
  }

  /** Judges an update on its arrival, by the rounds before; the text says why it is not taken. */
  appraise(
    state: AdapterState,
    origin: Parameters<StartOf>[0],
  ): Appraisal | { readonly excess: string } {
    const start = this.#startOf(origin);
    const norm = changeNorm(state, start);
    const isFresh = start === null;
    const excess = isFresh ? null : (this.#bound?.excessOf(norm) ?? null);
    return excess === null ? { norm, isFresh } : { excess };
  }

  /** What of a round's updates, sorted by device, is merged; does not depend on the order in which they came. */
  settle(round: number, updates: readonly HeldUpdate[]): Screened {
    const [fresh, others] = [true, false].map((isFresh) =>
      updates.filter((update) => update.isFresh === isFresh).map(({ norm }) => norm),
    );
    const events: RunEvent[] = [];
    const within = updates.filter(({ deviceId: device, norm, isFresh }) => {
      const excess = isFresh
        ? this.#bound?.excessAmong(norm, fresh ?? [])
        : this.#bound?.excessIn(norm, others ?? []);
      const detail = excess ?? null;
      if (detail === null) return true;
      events.push({ kind: "update-dropped", round, device, reason: "too-far", detail });
      return false;
    });
    const { samplesFactor: factor, maxSamples: most } = this.#config;
    const claims = within.map(({ numSamples }) => numSamples);
    const cap = mostSamples(claims, { factor, most });
    const capped = within.filter(({ numSamples }) => numSamples > cap);
    if (capped.length > 0) {
      const devices = capped.map(({ deviceId }) => deviceId);
      events.push({ kind: "samples-capped", round, devices, most: cap });
    }
    const kept = within.map((update) =>
      update.numSamples > cap ? { ...update, numSamples: cap } : update,
    );
    this.#bound?.learn(kept.filter(({ isFresh }) => !isFresh).map(({ norm }) => norm));
    return { kept, events };
  }

  /** What a checkpoint keeps; null without a bound. */
  export(): unknown {
    return this.#bound?.export() ?? null;
  }

  /** Throws ConfigError for what `export` never gave. */
  restore(saved: unknown): void {
    if (saved !== null) this.#bound?.restore(saved);
  }
}
