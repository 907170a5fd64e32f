/** What a run tells its caller while it goes on, and the record that it leaves at the end. */
import type { DevicePhase, RejectReason } from "../protocol/messages.ts";

/** Quality of a global adapter on the coordinator's own examples. */
export interface Evaluation {
  readonly accuracy: number;
  readonly loss: number;
  readonly macroF1: number;
}

/** One thing that happened; also one line of events.jsonl. Rounds and attempts count from 1; round 0 is the state before training. */
export type RunEvent =
  | {
      kind: "run-started";
      fleet: string;
      rounds: number;
      epoch: number;
      resumedRound: number | null;
    }
  | {
      kind: "device-joined";
      device: string;
      type: string;
      cores: number;
      memoryBytes: number;
      hasBase: boolean;
    }
  | { kind: "device-left"; device: string; reason: "silent" | "cut-off" | "said-bye" }
  | { kind: "round-started"; round: number; attempt: number; devices: string[]; timeoutMs: number }
  | {
      kind: "device-progress";
      device: string;
      round: number;
      phase: DevicePhase;
      step: number;
      numSteps: number;
      loss: number | null;
    }
  | {
      kind: "update-received";
      round: number;
      device: string;
      numSamples: number;
      steps: number;
      lossFirst: number;
      lossLast: number;
      heldOutLoss: number | null;
      rank: number;
      sparsity: number;
      pruningSkipped: boolean;
      importance: number;
      updateBytes: number;
      stepMs: number;
      trainMs: number;
      downloadMs: number;
      uploadMs: number;
      peakBytes: number;
      residentBytes: number;
    }
  | { kind: "update-dropped"; round: number; device: string; reason: RejectReason; detail: string }
  | { kind: "device-failed"; round: number; device: string; reason: string }
  | { kind: "round-short"; round: number; attempt: number; updates: number; needed: number }
  | {
      kind: "aggregated";
      round: number;
      devices: string[];
      numSamples: number;
      discardedEnergy: number;
      ms: number;
    }
  | ({ kind: "evaluated"; round: number; ms: number } & Evaluation)
  | { kind: "checkpoint"; round: number; path: string; adapterBytes: number }
  /** The first message refused for this reason; later ones are only counted. */
  | { kind: "message-dropped"; device: string | null; reason: string; detail: string }
  | { kind: "finished"; ok: boolean; reason: string };

/** What one device did over the whole run. */
export interface DeviceSummary {
  readonly id: string;
  readonly type: string;
  readonly rounds: number;
  readonly numSamples: number;
  readonly steps: number;
  readonly trainMs: number;
  readonly downloadMs: number;
  readonly uploadMs: number;
  /** Payload bytes of all its messages as the coordinator saw them: commands, events and blobs. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly peakBytes: number;
  readonly residentBytes: number;
}

export interface RunSummary {
  readonly ok: boolean;
  readonly reason: string;
  /** Rounds that are in the checkpoint, those of an earlier process included. */
  readonly rounds: number;
  readonly before: Evaluation | null;
  readonly after: Evaluation | null;
  readonly devices: readonly DeviceSummary[];
  /** Messages and updates that were not used, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  readonly durationMs: number;
}
