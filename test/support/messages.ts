/** Valid messages of every kind, for the tests of what reads and answers them. */
import type {
  CoordinatorMessage,
  DeviceMessage,
  DeviceReport,
  TrainPlan,
  TrainTask,
} from "../../src/protocol/messages.ts";

export const ROOT = "ab".repeat(32);

export const PLAN: TrainPlan = {
  rank: 4,
  alpha: 8,
  targets: ["query", "value"],
  trainHead: true,
  steps: 10,
  batchSize: 8,
  learningRate: 1e-3,
  maxTokens: 64,
  seed: 7,
  dropout: 0.1,
  labels: ["yes", "no"],
  pruning: null,
  start: "continue",
  trainA: true,
  selfPruning: null,
};

export const REPORT: DeviceReport = {
  numSamples: 20,
  steps: 10,
  lossFirst: 1.5,
  lossLast: 0.5,
  heldOutLoss: 0.9,
  rank: 4,
  sparsity: 0.25,
  pruningSkipped: false,
  importance: 0.1,
  stepMs: 8,
  trainMs: 100,
  downloadMs: 10,
  bytesUp: 1000,
  bytesDown: 2000,
  peakBytes: 1_000_000,
  residentBytes: 50_000_000,
};

export const TASK: TrainTask = {
  kind: "train",
  run: "run-00001",
  round: 1,
  attempt: 1,
  base: { files: [{ name: "model.safetensors", root: ROOT, sizeBytes: 12 }] },
  adapter: null,
  plan: PLAN,
  deadlineMs: 60_000,
};

export const DEVICE_MESSAGES: readonly DeviceMessage[] = [
  {
    kind: "hello",
    boot: "boot-0001",
    capabilities: { kind: "gateway", cores: 4, memoryBytes: 2 ** 31 },
    have: [ROOT],
  },
  { kind: "heartbeat", round: 1, phase: "training", step: 3, numSteps: 10, loss: 0.7 },
  { kind: "offer", round: 1, attempt: 1, root: ROOT, sizeBytes: 10, report: REPORT },
  { kind: "failed", round: 1, attempt: 1, reason: "out of memory" },
  { kind: "bye", reason: "stopped" },
  { kind: "presence", boot: "boot-0001", online: true },
];

export const COORDINATOR_MESSAGES: readonly CoordinatorMessage[] = [
  { kind: "state", wanted: { kind: "idle" }, heartbeatMs: 1000 },
  { kind: "state", wanted: TASK, heartbeatMs: 1000 },
  { kind: "state", wanted: { kind: "finished", reason: "done" }, heartbeatMs: 1000 },
  { kind: "resync" },
  { kind: "accept", root: ROOT },
  { kind: "reject", root: ROOT, reason: "late" },
  { kind: "epoch", boot: "boot-0001", status: "here" },
];
