/**
 * The course of a run without rounds that anybody waits for, as a pure function: (state, input) -> (state, effects). A round is here a
 * version of the global adapter: a device that is free gets the newest one, and `size` updates in the buffer make the next, whichever
 * versions they were trained from. Source: FedBuff (Nguyen et al. 2022, arXiv 2106.06639).
 *
 *   new -> measuring -> waiting -> training -> aggregating -> evaluating -> saving -> training | finished
 *
 * A device delivers at most one update per version, and tasks outlive versions up to `maxStaleness`. Updates that arrive while one
 * version is merged wait for the next. The timer merges what is there, so that no sleeping device can hang a run.
 */
import {
  afterMerge,
  afterTheEnd,
  failure,
  fetchingTask,
  finish,
  isPending,
  offered,
  prepend,
  rejection,
  type Step,
  taskRound,
  withTask,
  without,
} from "./round-machine.ts";
import type { RoundEffect, RoundInput, RoundSettings, RoundState, Task } from "./round-state.ts";

export interface BufferSettings extends RoundSettings {
  /** Updates that make a version. */
  readonly size: number;
  /** Versions that may have been made since the one that an update was trained from. */
  readonly maxStaleness: number;
}

/** The step function of one run. It starts from `newRun` with `started`, or from that with the round and tasks of a checkpoint. */
export function createBufferMachine(
  settings: BufferSettings,
): (state: RoundState, input: RoundInput) => Step {
  const { minDevices, maxAttempts, roundTimeoutMs, joinTimeoutMs, size, maxStaleness } = settings;

  return function step(state: RoundState, input: RoundInput): Step {
    if (state.phase === "finished") return afterTheEnd(state, input);
    switch (input.kind) {
      case "start":
        if (state.phase !== "new") return resumed(state, input.elapsedMs ?? 0);
        if (state.round > 0) return next(state);
        return [{ ...state, phase: "measuring" }, [{ kind: "evaluate", round: 0 }]];
      case "present": {
        const { device } = input;
        const present = new Set([...state.present, device]);
        const [here, broken] = restartFetch({ ...state, present }, device);
        if (here.phase === "waiting") return prepend(broken, gather(here, device));
        const [asked, effects] = here.phase === "training" ? ask(here) : [here, []];
        const isAsked = effects.some((each) => each.kind === "command" && each.device === device);
        const command: RoundEffect = { kind: "command", device };
        return [asked, [...broken, ...effects, ...(isAsked ? [] : [command])]];
      }
      case "left":
        return [without(state, input.device), []];
      case "timeout":
        if (input.round !== state.round || input.attempt !== state.attempt) return [state, []];
        if (input.timer === "join" && state.phase === "waiting") return giveUpWaiting(state);
        return input.timer === "round" && state.phase === "training" ? overdue(state) : [state, []];
      case "offered":
        return offered(state, input);
      case "received": {
        const { device, root } = input;
        if (fetchingTask(state, device, root) === null) return [state, []];
        const round = taskRound(state, device);
        const accepted = new Map([...state.accepted, [device, { round, root }]]);
        const held = { ...withTask(state, device, { status: "done" }), accepted };
        return prepend([{ kind: "accept", device, root }], settle(held));
      }
      case "refused": {
        const { device } = input;
        if (fetchingTask(state, device, input.root) === null) return [state, []];
        const round = taskRound(state, device);
        const dropped = withTask(state, device, { status: "failed" });
        return prepend(rejection({ ...input, round }), settle(dropped));
      }
      case "fetch-broken":
        if (fetchingTask(state, input.device, input.root) === null) return [state, []];
        return [withTask(state, input.device, { status: "asked" }), []];
      case "failed": {
        const { device, round, reason } = input;
        const task = state.tasks.get(device);
        if (task === undefined || !isPending(task) || round !== taskRound(state, device))
          return [state, []];
        const effects = failure(task, { device, round, reason });
        return prepend(effects, settle(withTask(state, device, { status: "failed" })));
      }
      case "aggregated":
      case "evaluated":
      case "saved":
        return afterMerge(state, input, { begin: next, next });
      case "stop":
        return finish(state, false, input.reason);
    }
  };

  /** The next version; who failed in this one may try again, and who started too long ago is given up. */
  function next(before: RoundState): Step {
    if (before.round >= settings.rounds)
      return finish(before, true, `${before.round} rounds are done`);
    const round = before.round + 1;
    const oldest = round - maxStaleness;
    const expired = [...before.tasks].filter(
      ([device, task]) => isPending(task) && taskRound(before, device) < oldest,
    );
    const effects = expired.flatMap(([device, task]): RoundEffect[] =>
      task.status === "fetching" ? [{ kind: "abandon", device }] : [],
    );
    const gone = new Set(expired.map(([device]) => device));
    const state = only(before, (device, task) => task.status !== "failed" && !gone.has(device));
    const opened: RoundState = { ...state, round, attempt: 1 };
    const isFirst = before.phase === "measuring" || before.phase === "new";
    if (isFirst && opened.present.size < minDevices) {
      const delayMs = joinTimeoutMs;
      effects.push({ kind: "arm", timer: "join", delayMs, round, attempt: 1 });
      return [{ ...opened, phase: "waiting" }, effects];
    }
    const idle = [...gone].filter((device) => before.present.has(device)).sort();
    const [begun, rest] = open(opened);
    // Those that are given up and not asked anew have to be told to stop.
    const released = idle.filter((device) => !begun.tasks.has(device));
    effects.push(...released.map((device): RoundEffect => ({ kind: "command", device })));
    return [begun, [...effects, ...rest]];
  }

  /** Goes on in the place of a process that was killed; updates that were being merged are in the buffer again. */
  function resumed(state: RoundState, elapsedMs: number): Step {
    const { phase, round, attempt } = state;
    if (phase === "measuring") return [state, [{ kind: "evaluate", round: 0 }]];
    const isWaiting = phase === "waiting";
    const [timer, wholeMs] = isWaiting
      ? (["join", joinTimeoutMs] as const)
      : (["round", roundTimeoutMs] as const);
    const delayMs = Math.max(0, wholeMs - elapsedMs);
    const arm: RoundEffect = { kind: "arm", timer, delayMs, round, attempt };
    return prepend([arm], settle(state));
  }

  function gather(state: RoundState, device: string): Step {
    if (state.present.size < minDevices) return [state, [{ kind: "command", device }]];
    return prepend([{ kind: "disarm", timer: "join" }], open(state));
  }

  /** Begins an attempt at a version: whoever is free is asked. */
  function open(state: RoundState): Step {
    const { round, attempt } = state;
    const devices = free({ ...state, phase: "training" }, 0);
    const asked = withAsked({ ...state, phase: "training" }, devices);
    const effects: RoundEffect[] = [
      { kind: "arm", timer: "round", delayMs: roundTimeoutMs, round, attempt },
      { kind: "begin", round, attempt, devices },
      ...devices.map((device): RoundEffect => ({ kind: "command", device })),
    ];
    return prepend(effects, settle(asked));
  }

  /** Asks who has become free since. */
  function ask(state: RoundState): Step {
    const serial = state.tasks.size;
    const devices = free(state, serial);
    if (devices.length === 0) return [state, []];
    const effects: RoundEffect[] = [
      { kind: "ask", round: state.round, serial, devices },
      ...devices.map((device): RoundEffect => ({ kind: "command", device })),
    ];
    return [withAsked(state, devices), effects];
  }

  function free({ tasks, present, round, attempt }: RoundState, serial: number): string[] {
    const candidates = [...present].filter((device) => !tasks.has(device)).sort();
    const numDone = [...tasks.values()].filter(isPending).length;
    const at = { round, attempt: attempt * 1000 + serial, numDone };
    return [...settings.select(candidates, at)];
  }

  /** Merges as soon as the buffer is full, or when nobody is left who could fill it. */
  function settle(state: RoundState): Step {
    if (state.phase !== "training") return [state, []];
    const tasks = [...state.tasks.values()];
    const held = tasks.filter(({ status }) => status === "done").length;
    const isLast = held > 0 && !tasks.some(isPending);
    return held >= size || isLast ? merge(state) : [state, []];
  }

  function merge(state: RoundState): Step {
    const { round } = state;
    const devices = [...state.tasks].flatMap(([id, { status }]) => (status === "done" ? [id] : []));
    const rest = only(state, (_, { status }) => status !== "done");
    const effects: RoundEffect[] = [
      { kind: "disarm", timer: "round" },
      { kind: "aggregate", round, devices: devices.sort() },
    ];
    return [{ ...rest, phase: "aggregating" }, effects];
  }

  function overdue(state: RoundState): Step {
    const { round, attempt } = state;
    const updates = [...state.tasks.values()].filter(({ status }) => status === "done").length;
    if (updates > 0) return merge(state);
    const event = { kind: "round-short" as const, round, attempt, updates, needed: 1 };
    const told: RoundEffect = { kind: "tell", event };
    if (attempt >= maxAttempts) {
      const reason = `round ${round}: no update after ${maxAttempts} attempts`;
      return prepend([told], finish(state, false, reason));
    }
    const again = only(state, (_, { status }) => status !== "failed");
    return prepend([told], open({ ...again, attempt: attempt + 1 }));
  }

  function giveUpWaiting(state: RoundState): Step {
    const reason = `round ${state.round}: ${state.present.size} of ${minDevices} devices after ${joinTimeoutMs} ms`;
    return finish(state, false, reason);
  }
}

/** Who says hello has lost its connection or its process, and would be asked for ranges for a while before it notices. */
function restartFetch(state: RoundState, device: string): Step {
  if (state.tasks.get(device)?.status !== "fetching") return [state, []];
  return [withTask(state, device, { status: "asked" }), [{ kind: "abandon", device }]];
}

function withAsked(state: RoundState, devices: readonly string[]): RoundState {
  const tasks = new Map(state.tasks);
  const started = new Map(state.started);
  for (const device of devices) {
    tasks.set(device, { status: "asked" });
    started.set(device, state.round);
  }
  return { ...state, tasks, started };
}

function only(state: RoundState, keeps: (device: string, task: Task) => boolean): RoundState {
  const tasks = new Map([...state.tasks].filter(([device, task]) => keeps(device, task)));
  const started = new Map([...(state.started ?? [])].filter(([device]) => tasks.has(device)));
  return { ...state, tasks, started };
}
