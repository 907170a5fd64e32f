/** What a run tells its caller while it goes on, and the record that it leaves at the end. */
import type { DevicePhase, RejectReason } from "../protocol/messages.ts";
import type { Choice } from "../strategies/controllers/controller.ts";

/** Quality of a model on the coordinator's own examples. */
export interface Score {
  readonly accuracy: number;
  readonly loss: number;
  readonly macroF1: number;
}

/**
 * Quality of the global adapter. Once devices are pruned it is scored on their own models: the three numbers are means over
 * `numDevices` of them, and `worst` is the one with the lowest accuracy.
 */
export interface Evaluation extends Score {
  readonly numDevices?: number;
  readonly worst?: Score & { readonly device: string };
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
  | {
      kind: "round-started";
      round: number;
      attempt: number;
      devices: string[];
      timeoutMs: number;
      /** What each of them shall have: sparsity and rank. */
      choices: Readonly<Record<string, Choice>>;
    }
  /** The same for devices that become free later, where rounds overlap. */
  | {
      kind: "devices-asked";
      round: number;
      devices: string[];
      choices: Readonly<Record<string, Choice>>;
    }
  /** Not even the smallest model that it may have fits into its memory; told when that begins. */
  | {
      kind: "device-excluded";
      round: number;
      device: string;
      neededBytes: number;
      availableBytes: number;
    }
  /** What the controller chose for a device, out of what, and why in a sentence. */
  | {
      kind: "controller-decided";
      round: number;
      device: string;
      sparsity: number;
      rank: number;
      minSparsity: number;
      maxSparsity: number;
      ranks: readonly number[];
      referenceSparsity: number;
      reachedSparsity: number;
      gflopsPerStep: number;
      memoryBytes: number;
      reason: string;
    }
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
      /** Received by the device for this round; with the base in its first one. */
      bytesDown: number;
    }
  | { kind: "update-dropped"; round: number; device: string; reason: RejectReason; detail: string }
  /** Devices that claim more samples than a round lets anybody count. */
  | { kind: "samples-capped"; round: number; devices: string[]; most: number }
  | { kind: "device-failed"; round: number; device: string; reason: string }
  | { kind: "round-short"; round: number; attempt: number; updates: number; needed: number }
  | {
      kind: "aggregated";
      round: number;
      devices: string[];
      numSamples: number;
      /** Share of the merged updates' squared singular values that did not fit into the server's rank. */
      discardedEnergy: number;
      /** Mean sparsity of the merged updates. */
      meanSparsity: number;
      /** Adapters made since those that the updates were trained from; 0 where rounds do not overlap. */
      meanStaleness: number;
      maxStaleness: number;
      ms: number;
    }
  | ({ kind: "evaluated"; round: number; ms: number } & Evaluation)
  /** Told when the round is saved; the times end with its last update, before it was merged. */
  | {
      kind: "round-finished";
      round: number;
      attempts: number;
      /** From the first command to the last update that counts, over all attempts. */
      durationMs: number;
      /** Longest download, training and upload of a device whose update counts. */
      longestMs: number;
      /** Mean over those devices of `longestMs` less their own time. */
      waitingMs: number;
    }
  | { kind: "checkpoint"; round: number; path: string; adapterBytes: number }
  /** The first message refused for this reason; later ones are only counted. */
  | { kind: "message-dropped"; device: string | null; reason: string; detail: string }
  /** The disk is full, read-only or broken: nothing is accepted until it takes data again, and nothing is lost. */
  | { kind: "disk-blocked"; reason: string }
  | { kind: "disk-free" }
  /** An update that counted cannot be read any more after a restart; its device is asked for it again. */
  | { kind: "update-lost"; round: number; device: string; detail: string }
  /** Two machines use one id: neither takes part until only one of them has spoken for so long. */
  | { kind: "device-quarantined"; device: string; forMs: number }
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
  /** Memory of the tensor engine: most over the run, and in the first and the last round. */
  readonly peakBytes: number;
  readonly firstPeakBytes: number;
  readonly lastPeakBytes: number;
  readonly residentBytes: number;
  /** LoRA rank and body sparsity of the last update. */
  readonly rank: number;
  readonly sparsity: number;
  /** Duration of a step in the device's first round over that in its last; 1 before there are two. */
  readonly speedUp: number;
}

export interface RunSummary {
  readonly ok: boolean;
  /** Whether the run is over, can be resumed, or is led by another coordinator now. */
  readonly ending: "done" | "failed" | "interrupted" | "displaced";
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
