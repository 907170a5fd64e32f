/**
 * What a device does about what it hears, as a pure function: (state, input) -> (state, effects).
 *
 *   idle -> base -> adapter -> training -> uploading -> idle
 *
 * The coordinator's command is absolute and supersedes whatever goes on; a repeat of it changes nothing. Work is known by its key (run,
 * round, base, adapter, plan), not by the attempt, so work that is under way or finished is never done twice.
 */
import { createHash } from "node:crypto";
import type {
  DevicePhase,
  DeviceReport,
  RejectReason,
  TrainTask,
  WantedState,
} from "../protocol/messages.ts";
import type { BlobRef } from "../transfer/blob-store.ts";

/** A trained update; kept until other work begins, since its acceptance may be lost. */
export interface FinishedWork {
  readonly key: string;
  readonly blob: BlobRef;
  readonly report: DeviceReport;
}

export interface AgentState {
  readonly phase: DevicePhase;
  /** The coordinator's incarnation and the last of its commands that was followed. */
  readonly epoch: number;
  readonly seq: number;
  /** False until the coordinator has answered the hello of this connection. */
  readonly isGreeted: boolean;
  readonly task: TrainTask | null;
  readonly finished: FinishedWork | null;
  /** Why the work of this task was given up. */
  readonly failure: {
    readonly key: string;
    readonly attempt: number;
    readonly reason: string;
    /** Where memory was lacking: what there is for tensors. */
    readonly tensorBytes?: number;
  } | null;
  /** Numbers the work begun; news about earlier work is ignored. */
  readonly serial: number;
}

export type AgentInput =
  | { kind: "connected" }
  | { kind: "epoch"; epoch: number; status: "here" | "gone" | "ended" }
  | { kind: "resync"; epoch: number }
  | { kind: "command"; epoch: number; seq: number; wanted: WantedState }
  | { kind: "accepted"; root: string }
  | { kind: "rejected"; root: string; reason: RejectReason }
  | { kind: "base-ready"; serial: number }
  | { kind: "adapter-ready"; serial: number }
  | { kind: "trained"; serial: number; finished: FinishedWork }
  | { kind: "broke"; serial: number; reason: string; tensorBytes?: number }
  | { kind: "overdue"; serial: number }
  /** Time to show a sign of life. */
  | { kind: "beat" };

export type AgentEffect =
  | { kind: "hello" }
  | { kind: "heartbeat" }
  | { kind: "abort" }
  | { kind: "get-base"; serial: number; task: TrainTask }
  | { kind: "get-adapter"; serial: number; task: TrainTask }
  | { kind: "train"; serial: number; key: string; task: TrainTask }
  | { kind: "watch-deadline"; serial: number; deadlineMs: number }
  | { kind: "remember"; finished: FinishedWork }
  | { kind: "forget"; finished: FinishedWork }
  | { kind: "offer"; round: number; attempt: number; finished: FinishedWork }
  | { kind: "fail"; round: number; attempt: number; reason: string; tensorBytes?: number }
  | { kind: "end"; reason: string };

type Step = readonly [AgentState, AgentEffect[]];

/** A device that has just started, with the work that an earlier process finished. */
export function newAgent(finished: FinishedWork | null): AgentState {
  const nothing = { task: null, failure: null, epoch: 0, seq: 0, serial: 0 };
  return { phase: "idle", isGreeted: false, finished, ...nothing };
}

/** Names the work of a task; attempts and deadlines of the same work share it. */
export function workKey({ run, round, base, adapter, plan }: TrainTask): string {
  return createHash("sha256")
    .update(JSON.stringify([run, round, base, adapter, plan]))
    .digest("hex");
}

export function stepAgent(state: AgentState, input: AgentInput): Step {
  const isOld = "serial" in input && input.serial !== state.serial;
  if (isOld) return [state, []];
  switch (input.kind) {
    case "connected":
      return [{ ...state, isGreeted: false }, [{ kind: "hello" }]];
    case "epoch":
      return epochSeen(state, input.epoch, input.status);
    case "resync":
      if (input.epoch < state.epoch) return [state, []];
      return greet(state, input.epoch);
    case "command":
      return commanded(state, input);
    case "accepted":
    case "rejected":
      return answered(state, input.root, input.kind === "rejected" ? input.reason : null);
    case "base-ready": {
      const { task, serial } = state;
      if (task === null || state.phase !== "base") return [state, []];
      return [{ ...state, phase: "adapter" }, [{ kind: "get-adapter", serial, task }]];
    }
    case "adapter-ready": {
      const { task, serial } = state;
      if (task === null || state.phase !== "adapter") return [state, []];
      return [
        { ...state, phase: "training" },
        [{ kind: "train", serial, key: workKey(task), task }],
      ];
    }
    case "trained": {
      if (state.task === null || state.phase !== "training") return [state, []];
      const { finished } = input;
      const next: AgentState = { ...state, finished, phase: "uploading" };
      return [next, [{ kind: "remember", finished }, ...offerAgain(next)]];
    }
    case "broke": {
      const { task, phase } = state;
      if (task === null || phase === "idle" || phase === "uploading") return [state, []];
      return giveUp(state, task, input);
    }
    case "overdue":
      return rest(state);
    case "beat":
      if (!state.isGreeted) return [state, [{ kind: "hello" }]];
      return [state, [{ kind: "heartbeat" }, ...offerAgain(state), ...failAgain(state)]];
  }
}

function epochSeen(state: AgentState, epoch: number, status: "here" | "gone" | "ended"): Step {
  if (status === "ended" && epoch === state.epoch) {
    const [next, effects] = rest(state);
    return [next, [...effects, { kind: "end", reason: "the run has ended" }]];
  }
  if (status !== "here" || epoch <= state.epoch) return [state, []];
  return greet(state, epoch);
}

function greet(state: AgentState, epoch: number): Step {
  const seq = epoch === state.epoch ? state.seq : 0;
  return [{ ...state, epoch, seq, isGreeted: false }, [{ kind: "hello" }]];
}

function commanded(
  state: AgentState,
  command: { epoch: number; seq: number; wanted: WantedState },
): Step {
  const { epoch, seq, wanted } = command;
  const isStale = epoch < state.epoch || (epoch === state.epoch && seq <= state.seq);
  if (isStale) return [state, []];
  const heard: AgentState = { ...state, epoch, seq, isGreeted: true };
  const [next, effects] = wanted.kind === "train" ? asked(heard, wanted) : rest(heard);
  const end: AgentEffect[] =
    wanted.kind === "finished" ? [{ kind: "end", reason: wanted.reason }] : [];
  return [next, [...effects, ...end]];
}

function asked(state: AgentState, task: TrainTask): Step {
  const key = workKey(task);
  const isSame = state.task !== null && workKey(state.task) === key;
  const watch: AgentEffect = {
    kind: "watch-deadline",
    serial: state.serial,
    deadlineMs: task.deadlineMs,
  };
  if (state.finished?.key === key) {
    const [calm, effects] = isSame ? [state, []] : rest(state);
    const next: AgentState = { ...calm, task, phase: "uploading" };
    return [next, [...effects, { ...watch, serial: next.serial }, ...offerAgain(next)]];
  }
  if (isSame && state.phase !== "idle") return [{ ...state, task }, [watch]];
  const { failure } = state;
  if (failure?.key === key && failure.attempt === task.attempt) {
    const next = { ...state, task };
    return [next, failAgain(next)];
  }
  return begin(state, task);
}

/** Drops whatever goes on and starts on a task. */
function begin(state: AgentState, task: TrainTask): Step {
  const [calm, effects] = rest(state);
  const { serial } = calm;
  if (calm.finished !== null) effects.push({ kind: "forget", finished: calm.finished });
  effects.push(
    { kind: "watch-deadline", serial, deadlineMs: task.deadlineMs },
    { kind: "get-base", serial, task },
  );
  return [{ ...calm, task, finished: null, failure: null, phase: "base" }, effects];
}

/** Stops working; a finished update stays, for it may be asked for again. */
function rest(state: AgentState): Step {
  const effects: AgentEffect[] = state.phase === "idle" ? [] : [{ kind: "abort" }];
  return [{ ...state, phase: "idle", task: null, serial: state.serial + 1 }, effects];
}

function giveUp(
  state: AgentState,
  task: TrainTask,
  { reason, tensorBytes }: { readonly reason: string; readonly tensorBytes?: number },
): Step {
  const lack = tensorBytes === undefined ? {} : { tensorBytes };
  const failure = { key: workKey(task), attempt: task.attempt, reason, ...lack };
  const next: AgentState = { ...state, phase: "idle", failure, serial: state.serial + 1 };
  return [next, failAgain(next)];
}

function answered(state: AgentState, root: string, reason: RejectReason | null): Step {
  const { finished, task, phase } = state;
  if (phase !== "uploading" || task === null || finished?.blob.root !== root) return [state, []];
  // The round goes on without this update, or has it: there is nothing left to do until the next command.
  if (reason === null || reason === "late" || reason === "not-asked" || reason === "duplicate")
    return rest(state);
  const [next, effects] = giveUp(
    { ...state, finished: null },
    task,
    { reason: `the update was refused: ${reason}` },
  );
  return [next, [{ kind: "forget", finished }, ...effects]];
}

function offerAgain({ phase, task, finished }: AgentState): AgentEffect[] {
  if (phase !== "uploading" || task === null || finished === null) return [];
  return [{ kind: "offer", round: task.round, attempt: task.attempt, finished }];
}

function failAgain({ task, failure }: AgentState): AgentEffect[] {
  if (task === null || failure === null || failure.attempt !== task.attempt) return [];
  const { key, ...what } = failure;
  return key === workKey(task) ? [{ kind: "fail", round: task.round, ...what }] : [];
}
