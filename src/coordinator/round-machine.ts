/**
 * The course of a run as a pure function: (state, input) -> (state, effects). Knows no clock, network or file.
 *
 *   new -> measuring -> waiting -> training -> aggregating -> evaluating -> saving -> waiting | finished
 *                          ^----------'  too few updates: next attempt, and the updates at hand stay
 *
 * Waiting and training always have a timer running and the other phases a job of the edge, so no device can hang a run.
 */
import type { BlobRef } from "../transfer/blob-store.ts";
import type { DeviceReport, RejectReason, WantedState } from "../protocol/messages.ts";
import type {
  RoundEffect,
  RoundInput,
  RoundSettings,
  RoundState,
  Task,
  TimerName,
} from "./round-state.ts";

export type Step = readonly [RoundState, RoundEffect[]];

export const newRun: RoundState = {
  phase: "new",
  round: 0,
  attempt: 0,
  present: new Set(),
  tasks: new Map(),
  accepted: new Map(),
  reason: "",
};

/** The step function of one run. It starts from `newRun`, or from `{ ...newRun, round }` after a checkpoint of `round`. */
export function createRoundMachine(
  settings: RoundSettings,
): (state: RoundState, input: RoundInput) => Step {
  const { minDevices, maxAttempts, roundTimeoutMs, joinTimeoutMs } = settings;

  function step(state: RoundState, input: RoundInput): Step {
    if (state.phase === "finished") return afterTheEnd(state, input);
    switch (input.kind) {
      case "start":
        if (state.phase !== "new") return resumed(state, input.elapsedMs ?? 0);
        if (state.round > 0) return next(state);
        return [{ ...state, phase: "measuring" }, [{ kind: "evaluate", round: 0 }]];
      case "present": {
        const here = { ...state, present: new Set([...state.present, input.device]) };
        const command: RoundEffect = { kind: "command", device: input.device };
        return here.phase === "waiting" ? prepend([command], gather(here)) : [here, [command]];
      }
      case "left": {
        const next = without(state, input.device);
        return next.phase === "training" ? settle(next) : [next, []];
      }
      case "timeout":
        if (input.round !== state.round || input.attempt !== state.attempt) return [state, []];
        if (input.timer === "round" && state.phase === "training") return close(state);
        if (input.timer === "join" && state.phase === "waiting") return giveUpWaiting(state);
        return [state, []];
      case "offered":
        return offered(state, input);
      case "received": {
        const task = fetchingTask(state, input.device, input.root);
        if (task === null) return [state, []];
        const { device, root } = input;
        const accepted = new Map([...state.accepted, [device, { round: state.round, root }]]);
        const next = { ...withTask(state, device, { status: "done" }), accepted };
        return prepend([{ kind: "accept", device, root }], settle(next));
      }
      case "refused": {
        if (fetchingTask(state, input.device, input.root) === null) return [state, []];
        const next = withTask(state, input.device, { status: "failed" });
        return prepend(rejection({ ...input, round: state.round }), settle(next));
      }
      case "fetch-broken":
        if (fetchingTask(state, input.device, input.root) === null) return [state, []];
        return [withTask(state, input.device, { status: "asked" }), []];
      case "failed": {
        const { device, round, attempt, reason } = input;
        const task = state.tasks.get(device);
        const isCurrent =
          state.phase === "training" && round === state.round && attempt === state.attempt;
        if (!isCurrent || task === undefined || !isPending(task)) return [state, []];
        const effects = failure(task, { device, round, reason });
        return prepend(effects, settle(withTask(state, device, { status: "failed" })));
      }
      case "aggregated":
      case "evaluated":
      case "saved":
        return afterMerge(state, input, { begin: () => wait(state, 1, 1), next });
      case "stop":
        return finish(state, false, input.reason);
    }
  }

  /** Goes on in the middle of a round, in the place of a process that was killed. */
  function resumed(state: RoundState, elapsedMs: number): Step {
    const { phase, round, attempt } = state;
    const arm = (timer: TimerName, wholeMs: number): RoundEffect => {
      const delayMs = Math.max(0, wholeMs - elapsedMs);
      return { kind: "arm", timer, delayMs, round, attempt };
    };
    if (phase === "measuring") return [state, [{ kind: "evaluate", round: 0 }]];
    if (phase === "waiting") return prepend([arm("join", joinTimeoutMs)], gather(state));
    if (phase === "training") return prepend([arm("round", roundTimeoutMs)], settle(state));
    const done = [...state.tasks].filter(([, task]) => task.status === "done");
    const devices = done.map(([device]) => device).sort();
    return [state, [{ kind: "aggregate", round, devices }]];
  }

  function next(state: RoundState): Step {
    const { round } = state;
    return round >= settings.rounds
      ? finish(state, true, `${round} rounds are done`)
      : wait(state, round + 1, 1);
  }

  function wait(state: RoundState, round: number, attempt: number): Step {
    const tasks = attempt === 1 ? new Map<string, Task>() : state.tasks;
    const next: RoundState = { ...state, phase: "waiting", round, attempt, tasks };
    return prepend(
      [{ kind: "arm", timer: "join", delayMs: joinTimeoutMs, round, attempt }],
      gather(next),
    );
  }

  /** Starts training as soon as enough devices are here. */
  function gather(state: RoundState): Step {
    if (state.present.size < minDevices) return [state, []];
    const { round, attempt } = state;
    const tasks = new Map([...state.tasks].filter(([, task]) => task.status === "done"));
    const candidates = [...state.present].filter((id) => !tasks.has(id)).sort();
    const asked = [...settings.select(candidates, { round, attempt, numDone: tasks.size })];
    for (const device of asked) tasks.set(device, { status: "asked" });
    const effects: RoundEffect[] = [
      { kind: "disarm", timer: "join" },
      { kind: "arm", timer: "round", delayMs: roundTimeoutMs, round, attempt },
      { kind: "begin", round, attempt, devices: asked },
      ...asked.map((device): RoundEffect => ({ kind: "command", device })),
    ];
    return prepend(effects, settle({ ...state, phase: "training", tasks }));
  }

  /** Closes the round when nobody is left to wait for. */
  function settle(state: RoundState): Step {
    const isOpen = [...state.tasks].some(([id, task]) => isPending(task) && state.present.has(id));
    return isOpen ? [state, []] : close(state);
  }

  function close(state: RoundState): Step {
    const { round, attempt } = state;
    const devices = [...state.tasks].filter(([, task]) => task.status === "done").map(([id]) => id);
    const needed = Math.max(1, Math.ceil(settings.quorum * state.tasks.size));
    const stopped = [...state.tasks].filter(([, task]) => isPending(task)).map(([id]) => id);
    const tasks = new Map(state.tasks);
    for (const device of stopped) tasks.set(device, { status: "failed" });
    const closed: RoundEffect[] = [{ kind: "disarm", timer: "round" }];
    for (const device of stopped) {
      if (state.tasks.get(device)?.status === "fetching") closed.push({ kind: "abandon", device });
    }
    if (devices.length >= needed) {
      const next: RoundState = { ...state, phase: "aggregating", tasks };
      const release = stopped
        .filter((id) => state.present.has(id))
        .map((device): RoundEffect => ({ kind: "command", device }));
      return [next, [...closed, ...release, { kind: "aggregate", round, devices: devices.sort() }]];
    }
    const updates = devices.length;
    closed.push({ kind: "tell", event: { kind: "round-short", round, attempt, updates, needed } });
    const reason = `round ${round}: ${updates} of ${needed} needed updates after ${maxAttempts} attempts`;
    const ended = { ...state, tasks };
    const isLast = attempt >= maxAttempts;
    return prepend(closed, isLast ? finish(ended, false, reason) : wait(ended, round, attempt + 1));
  }

  function giveUpWaiting(state: RoundState): Step {
    const reason = `round ${state.round}: ${state.present.size} of ${minDevices} devices after ${joinTimeoutMs} ms`;
    return finish(state, false, reason);
  }

  return step;
}

/** What a device shall be doing now. */
export function wantedKind(state: RoundState, device: string): WantedState["kind"] {
  if (state.phase === "finished") return "finished";
  const task = state.tasks.get(device);
  return isOpen(state) && task !== undefined && isPending(task) ? "train" : "idle";
}

/** The round whose adapter a device starts from. */
export function taskRound(state: RoundState, device: string): number {
  return state.started?.get(device) ?? state.round;
}

/** Whether updates are taken: while a round trains or, where rounds overlap, until the end. */
function isOpen({ phase, started }: RoundState): boolean {
  return started === undefined ? phase === "training" : phase !== "finished";
}

export function offered(
  state: RoundState,
  offer: { device: string; round: number; blob: BlobRef; report: DeviceReport },
): Step {
  const { device, round, blob, report } = offer;
  const task = state.tasks.get(device);
  const last = state.accepted.get(device);
  if (last?.round === round && last.root === blob.root) {
    return [state, [{ kind: "accept", device, root: blob.root }]];
  }
  const refuse = (reason: RejectReason): Step => [
    state,
    [
      ...rejection({ round, device, root: blob.root, reason, detail: "" }),
      { kind: "command", device },
    ],
  ];
  if (round < taskRound(state, device) || !isOpen(state)) return refuse("late");
  if (round > taskRound(state, device)) return refuse("wrong-round");
  if (task === undefined) return refuse("not-asked");
  if (task.status === "done") return refuse("duplicate");
  if (task.status === "fetching" && task.blob.root === blob.root) return [state, []];
  const effects: RoundEffect[] = task.status === "fetching" ? [{ kind: "abandon", device }] : [];
  effects.push({ kind: "fetch", device, round, blob, report });
  return [withTask(state, device, { status: "fetching", blob, report }), effects];
}

/** Keeps greeting late comers after the end, so that they stop too. */
export function afterTheEnd(state: RoundState, input: RoundInput): Step {
  if (input.kind === "left") return [without(state, input.device), []];
  if (input.kind === "present") return [state, [{ kind: "command", device: input.device }]];
  return input.kind === "offered" ? offered(state, input) : [state, []];
}

export function finish(state: RoundState, ok: boolean, reason: string): Step {
  const effects: RoundEffect[] = [
    { kind: "disarm", timer: "join" },
    { kind: "disarm", timer: "round" },
  ];
  for (const [device, task] of state.tasks) {
    if (task.status === "fetching") effects.push({ kind: "abandon", device });
  }
  for (const device of state.present) effects.push({ kind: "command", device });
  effects.push(
    { kind: "tell", event: { kind: "finished", ok, reason } },
    { kind: "finish", ok, reason },
  );
  return [{ ...state, phase: "finished", tasks: new Map(), reason }, effects];
}

export function rejection(refusal: {
  round: number;
  device: string;
  root: string;
  reason: RejectReason;
  detail: string;
}): RoundEffect[] {
  const { round, device, root, reason, detail } = refusal;
  return [
    { kind: "reject", device, root, reason },
    { kind: "tell", event: { kind: "update-dropped", round, device, reason, detail } },
  ];
}

export function isPending(task: Task): boolean {
  return task.status === "asked" || task.status === "fetching";
}

/** The device's task when exactly this blob is being fetched for it, else null. */
export function fetchingTask(state: RoundState, device: string, root: string): Task | null {
  const task = state.tasks.get(device);
  return task?.status === "fetching" && task.blob.root === root && isOpen(state) ? task : null;
}

export function without(state: RoundState, device: string): RoundState {
  return { ...state, present: new Set([...state.present].filter((id) => id !== device)) };
}

/** What the failure of a task, as its device tells of it, asks for. */
export function failure(
  task: Task,
  event: { readonly device: string; readonly round: number; readonly reason: string },
): RoundEffect[] {
  const { device } = event;
  const told: RoundEffect = { kind: "tell", event: { kind: "device-failed", ...event } };
  return task.status === "fetching" ? [{ kind: "abandon", device }, told] : [told];
}

/** From merged to scored to saved: `begin` follows the score of what nothing has changed yet, `next` what is saved. */
export function afterMerge(
  state: RoundState,
  input: Extract<RoundInput, { kind: "aggregated" | "evaluated" | "saved" }>,
  { begin, next }: { begin: (state: RoundState) => Step; next: (state: RoundState) => Step },
): Step {
  const { phase, round } = state;
  if (input.kind === "evaluated" && phase === "measuring" && input.round === 0) return begin(state);
  if (input.round !== round) return [state, []];
  if (input.kind === "aggregated" && phase === "aggregating") {
    return [{ ...state, phase: "evaluating" }, [{ kind: "evaluate", round }]];
  }
  if (input.kind === "evaluated" && phase === "evaluating") {
    return [{ ...state, phase: "saving" }, [{ kind: "save", round }]];
  }
  return input.kind === "saved" && phase === "saving" ? next(state) : [state, []];
}

export function withTask(state: RoundState, device: string, task: Task): RoundState {
  return { ...state, tasks: new Map([...state.tasks, [device, task]]) };
}

export function prepend(effects: RoundEffect[], [state, rest]: Step): Step {
  return [state, [...effects, ...rest]];
}
