/** The values of the round machine: its settings, its state, what it reacts to and what it asks for. */
import type { DeviceReport, RejectReason } from "../protocol/messages.ts";
import type { BlobRef } from "../transfer/blob-store.ts";
import type { RunEvent } from "./run-events.ts";

export interface RoundSettings {
  readonly rounds: number;
  /** Devices that must be here before a round starts. */
  readonly minDevices: number;
  /** Share of the asked devices whose updates make a round, in (0, 1]. */
  readonly quorum: number;
  readonly maxAttempts: number;
  readonly roundTimeoutMs: number;
  /** How long to wait for `minDevices` before the run is given up. */
  readonly joinTimeoutMs: number;
  /** The same devices for the same arguments within a round. `numDone` updates of this round are here from earlier attempts. */
  readonly select: (
    deviceIds: readonly string[],
    at: { readonly round: number; readonly attempt: number; readonly numDone: number },
  ) => readonly string[];
}

/** Where the update of one asked device is. */
export type Task =
  | { readonly status: "asked" }
  | { readonly status: "fetching"; readonly blob: BlobRef; readonly report: DeviceReport }
  | { readonly status: "done" }
  | { readonly status: "failed" };

export type RoundPhase =
  | "new"
  | "measuring"
  | "waiting"
  | "training"
  | "aggregating"
  | "evaluating"
  | "saving"
  | "finished";

export interface RoundState {
  readonly phase: RoundPhase;
  /** The round under way; before the first one, the last round that is done. */
  readonly round: number;
  /** Counts from 1 in each round. */
  readonly attempt: number;
  readonly present: ReadonlySet<string>;
  /** The devices asked in this round, those of earlier attempts with an update included. */
  readonly tasks: ReadonlyMap<string, Task>;
  /**
   * Only where rounds overlap: the round whose adapter each device of `tasks` was asked to start from. A round is then a version of
   * the global adapter, and tasks outlive it.
   */
  readonly started?: ReadonlyMap<string, number>;
  /** The last update taken from each device, so that a late repeat of its offer gets the same answer. */
  readonly accepted: ReadonlyMap<string, { readonly round: number; readonly root: string }>;
  /** Why the run ended; empty before. */
  readonly reason: string;
}

export type TimerName = "join" | "round";

export type RoundInput =
  /** `elapsedMs` is how long the phase has been going on already, in a process before this one. */
  | { kind: "start"; elapsedMs?: number }
  | { kind: "present"; device: string }
  | { kind: "left"; device: string }
  | { kind: "timeout"; timer: TimerName; round: number; attempt: number }
  | { kind: "offered"; device: string; round: number; blob: BlobRef; report: DeviceReport }
  /** The offered blob is here, was read and is fit for aggregation. */
  | { kind: "received"; device: string; root: string }
  | { kind: "refused"; device: string; root: string; reason: RejectReason; detail: string }
  /** The transfer broke off; the device will offer again. */
  | { kind: "fetch-broken"; device: string; root: string }
  | { kind: "failed"; device: string; round: number; attempt: number; reason: string }
  | { kind: "aggregated"; round: number }
  | { kind: "evaluated"; round: number }
  | { kind: "saved"; round: number }
  /** Ends the run without success. */
  | { kind: "stop"; reason: string };

export type RoundEffect =
  /** An attempt has begun: decide what these devices get, before they are sent their commands. */
  | { kind: "begin"; round: number; attempt: number; devices: string[] }
  /** The same for devices that become free while the round goes on. */
  | { kind: "ask"; round: number; serial: number; devices: string[] }
  /** Send the device what `wantedKind` says. */
  | { kind: "command"; device: string }
  | { kind: "arm"; timer: TimerName; delayMs: number; round: number; attempt: number }
  | { kind: "disarm"; timer: TimerName }
  | { kind: "fetch"; device: string; round: number; blob: BlobRef; report: DeviceReport }
  | { kind: "abandon"; device: string }
  | { kind: "accept"; device: string; root: string }
  | { kind: "reject"; device: string; root: string; reason: RejectReason }
  | { kind: "aggregate"; round: number; devices: string[] }
  | { kind: "evaluate"; round: number }
  | { kind: "save"; round: number }
  | { kind: "tell"; event: RunEvent }
  | { kind: "finish"; ok: boolean; reason: string };
