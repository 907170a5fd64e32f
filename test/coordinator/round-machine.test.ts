/** The round machine: the plain course, each way in which a round can go wrong, and random histories against invariants. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createRoundMachine, newRun, wantedKind } from "../../src/coordinator/round-machine.ts";
import type {
  RoundEffect,
  RoundInput,
  RoundSettings,
  RoundState,
} from "../../src/coordinator/round-state.ts";
import type { DeviceReport } from "../../src/protocol/messages.ts";

const SETTINGS: RoundSettings = {
  rounds: 2,
  minDevices: 2,
  quorum: 0.6,
  maxAttempts: 2,
  roundTimeoutMs: 1000,
  joinTimeoutMs: 500,
  select: (ids) => ids,
};

const REPORT: DeviceReport = {
  numSamples: 5,
  steps: 1,
  lossFirst: 1,
  lossLast: 1,
  trainMs: 1,
  downloadMs: 1,
  bytesUp: 1,
  bytesDown: 1,
  peakBytes: 1,
  residentBytes: 1,
};

/** Drives one machine and keeps what it has asked for. */
class Run {
  state: RoundState;
  effects: RoundEffect[] = [];
  readonly #step: ReturnType<typeof createRoundMachine>;

  constructor(settings: Partial<RoundSettings> = {}, state: RoundState = newRun) {
    this.#step = createRoundMachine({ ...SETTINGS, ...settings });
    this.state = state;
  }

  /** Feeds inputs; `effects` then holds what the last one caused. */
  feed(...inputs: RoundInput[]): this {
    for (const input of inputs) [this.state, this.effects] = this.#step(this.state, input);
    return this;
  }

  has(kind: RoundEffect["kind"], part: Record<string, unknown> = {}): boolean {
    return this.effects.some(
      (effect) =>
        effect.kind === kind &&
        Object.entries(part).every(([key, value]) => {
          return JSON.stringify((effect as Record<string, unknown>)[key]) === JSON.stringify(value);
        }),
    );
  }
}

const present = (device: string): RoundInput => ({ kind: "present", device });
const left = (device: string): RoundInput => ({ kind: "left", device });
const root = (device: string): string => `root-${device}`;
const offered = (device: string, round = 1, name = root(device)): RoundInput => ({
  kind: "offered",
  device,
  round,
  blob: { root: name, sizeBytes: 10 },
  report: REPORT,
});
const received = (device: string, name = root(device)): RoundInput => ({
  kind: "received",
  device,
  root: name,
});
const deliver = (device: string): RoundInput[] => [offered(device), received(device)];
const deadline = (round = 1, attempt = 1): RoundInput => ({
  kind: "timeout",
  timer: "round",
  round,
  attempt,
});

/** A run whose first round has started with these devices. */
function training(devices: string[], settings: Partial<RoundSettings> = {}): Run {
  const run = new Run({ minDevices: devices.length, ...settings });
  return run.feed({ kind: "start" }, ...devices.map(present), { kind: "evaluated", round: 0 });
}

test("a run measures the start, waits for devices, and goes through its rounds", () => {
  const run = new Run();
  run.feed({ kind: "start" });
  assert.ok(run.has("evaluate", { round: 0 }));
  run.feed(present("a"), { kind: "evaluated", round: 0 });
  assert.equal(run.state.phase, "waiting");
  assert.ok(run.has("arm", { timer: "join" }));
  run.feed(present("b"));
  assert.ok(run.has("command", { device: "a" }) && run.has("command", { device: "b" }));
  assert.equal(wantedKind(run.state, "a"), "train");
  run.feed(...deliver("a"));
  assert.ok(run.has("accept", { device: "a" }));
  assert.equal(wantedKind(run.state, "a"), "idle");
  run.feed(...deliver("b"));
  assert.ok(run.has("aggregate", { round: 1, devices: ["a", "b"] }));
  run.feed({ kind: "aggregated", round: 1 });
  assert.ok(run.has("evaluate", { round: 1 }));
  run.feed({ kind: "evaluated", round: 1 });
  assert.ok(run.has("save", { round: 1 }));
  run.feed({ kind: "saved", round: 1 });
  assert.equal(run.state.round, 2);
  run.feed(offered("a", 2), received("a"), offered("b", 2), received("b"));
  run.feed(
    { kind: "aggregated", round: 2 },
    { kind: "evaluated", round: 2 },
    { kind: "saved", round: 2 },
  );
  assert.ok(run.has("finish", { ok: true }));
  assert.equal(wantedKind(run.state, "a"), "finished");
});

test("a resumed run goes on with the round after its checkpoint, or ends when that was the last", () => {
  assert.equal(new Run({}, { ...newRun, round: 1 }).feed({ kind: "start" }).state.round, 2);
  assert.ok(
    new Run({}, { ...newRun, round: 2 }).feed({ kind: "start" }).has("finish", { ok: true }),
  );
});

test("the deadline closes a round with a quorum, and the straggler is told to stop", () => {
  const run = training(["a", "b", "c"]).feed(
    ...deliver("a"),
    ...deliver("b"),
    offered("c"),
    deadline(),
  );
  assert.ok(run.has("aggregate", { devices: ["a", "b"] }));
  assert.ok(run.has("abandon", { device: "c" }) && run.has("command", { device: "c" }));
  assert.equal(wantedKind(run.state, "c"), "idle");
});

test("a round does not wait for a device that has left once the others are done", () => {
  const run = training(["a", "b", "c"]).feed(...deliver("a"), ...deliver("b"));
  assert.equal(run.state.phase, "training");
  assert.ok(run.feed(left("c")).has("aggregate", { devices: ["a", "b"] }));
});

test("a device that left and came back is asked again for the same round", () => {
  const run = training(["a", "b", "c"]).feed(left("c"), ...deliver("a"), present("c"));
  assert.ok(run.has("command", { device: "c" }));
  assert.equal(wantedKind(run.state, "c"), "train");
  assert.ok(
    run.feed(...deliver("b"), ...deliver("c")).has("aggregate", { devices: ["a", "b", "c"] }),
  );
});

test("too few updates lead to another attempt that keeps those at hand, and then to the end of the run", () => {
  const run = training(["a", "b", "c"], { quorum: 1 }).feed(...deliver("a"), deadline());
  assert.equal(run.state.attempt, 2);
  assert.equal(wantedKind(run.state, "a"), "idle");
  assert.equal(wantedKind(run.state, "b"), "train");
  run.feed(...deliver("b"), deadline(1, 2));
  assert.ok(run.has("finish", { ok: false }));
  assert.match(run.state.reason, /round 1: 2 of 3 needed updates after 2 attempts/);
});

test("the next attempt needs only those who are here when it starts", () => {
  const run = training(["a", "b", "c"], { quorum: 1, minDevices: 1 });
  run.feed(...deliver("a"), ...deliver("b"), left("c"));
  assert.ok(
    run.has("tell", {
      event: { kind: "round-short", round: 1, attempt: 1, updates: 2, needed: 3 },
    }),
  );
  assert.ok(run.has("aggregate", { devices: ["a", "b"] }));
});

test("a run without enough devices ends when the time to join is over", () => {
  const run = new Run().feed({ kind: "start" }, { kind: "evaluated", round: 0 }, present("a"));
  run.feed({ kind: "timeout", timer: "join", round: 1, attempt: 1 });
  assert.ok(run.has("finish", { ok: false }));
  assert.match(run.state.reason, /1 of 2 devices after 500 ms/);
});

test("a repeated offer is answered again, another update of the same device is refused, and neither counts twice", () => {
  const run = training(["a", "b"]).feed(...deliver("a"), offered("a"));
  assert.ok(run.has("accept", { device: "a" }) && !run.has("fetch"));
  run.feed(offered("a", 1, "other"));
  assert.ok(run.has("reject", { reason: "duplicate", root: "other" }));
  assert.ok(run.feed(...deliver("b")).has("aggregate", { devices: ["a", "b"] }));
  assert.ok(
    run.feed(offered("a")).has("accept", { device: "a" }),
    "also while the round is merged",
  );
});

test("an offer repeated while its blob is fetched starts no second transfer, a newer one replaces it", () => {
  const run = training(["a", "b"]).feed(offered("a"), offered("a"));
  assert.deepEqual(run.effects, []);
  run.feed(offered("a", 1, "newer"));
  assert.ok(run.has("abandon") && run.has("fetch", { blob: { root: "newer", sizeBytes: 10 } }));
  run.feed(received("a"));
  assert.deepEqual(run.effects, [], "the replaced blob no longer counts");
  assert.ok(run.feed(received("a", "newer")).has("accept", { root: "newer" }));
});

test("late, unasked and wrong-round offers are refused with their reason", () => {
  const run = training(["a", "b"], {
    select: (ids) => ids.filter((id) => id !== "c"),
    minDevices: 2,
  });
  run.feed(present("c"), offered("c"));
  assert.ok(run.has("reject", { device: "c", reason: "not-asked" }));
  assert.ok(run.feed(offered("a", 2)).has("reject", { reason: "late" }));
  run.feed(...deliver("a"), ...deliver("b"), offered("b", 1, "other"));
  assert.ok(run.has("reject", { reason: "late" }));
});

test("a refused update leaves its device out of this attempt", () => {
  const run = training(["a", "b"], { quorum: 0.5 }).feed(offered("a"));
  run.feed({ kind: "refused", device: "a", root: root("a"), reason: "not-finite", detail: "NaN" });
  assert.ok(run.has("reject", { reason: "not-finite" }));
  assert.ok(run.feed(...deliver("b")).has("aggregate", { devices: ["b"] }));
});

test("a device that reports failure is asked again in the next attempt only", () => {
  const fail: RoundInput = {
    kind: "failed",
    device: "a",
    round: 1,
    attempt: 1,
    reason: "out of memory",
  };
  const run = training(["a", "b"], { quorum: 1 }).feed(fail, ...deliver("b"));
  assert.equal(run.state.attempt, 2);
  assert.equal(run.state.phase, "training");
  run.feed(fail);
  assert.equal(run.state.phase, "training", "the failure of the first attempt is old news");
  assert.ok(run.feed(...deliver("a")).has("aggregate", { devices: ["a", "b"] }));
});

test("a broken transfer waits for the next offer", () => {
  const run = training(["a", "b"]).feed(offered("a"), {
    kind: "fetch-broken",
    device: "a",
    root: root("a"),
  });
  assert.equal(run.state.phase, "training");
  assert.ok(run.feed(offered("a")).has("fetch"));
});

const DEVICES = ["a", "b", "c", "d"];
type Move = (state: RoundState) => RoundInput;
const device = fc.constantFrom(...DEVICES);
const name = fc.constantFrom("x", "y");
/** Mostly what fits the state, sometimes the past or the future. */
const offset = fc.constantFrom(0, 0, 0, 0, 0, 0, -1, 1);

/** The blob that is being fetched for a device, or one that is not. */
function fetchedRoot(state: RoundState, id: string, other: string): string {
  const task = state.tasks.get(id);
  return task?.status === "fetching" ? task.blob.root : other;
}

const anyMove: fc.Arbitrary<Move> = fc.oneof(
  { weight: 4, arbitrary: device.map((id) => () => present(id)) },
  { weight: 1, arbitrary: device.map((id) => () => left(id)) },
  {
    weight: 8,
    arbitrary: fc.tuple(device, offset, name).map(
      ([id, by, x]): Move =>
        (state) =>
          offered(id, Math.max(1, state.round + by), `${id}-${x}`),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(device, name).map(
      ([id, x]): Move =>
        (state) =>
          received(id, fetchedRoot(state, id, x)),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(device, name).map(([id, x]): Move => (state) => {
      return {
        kind: "refused",
        device: id,
        root: fetchedRoot(state, id, x),
        reason: "unreadable",
        detail: "",
      };
    }),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(device, name).map(([id, x]): Move => (state) => {
      return { kind: "fetch-broken", device: id, root: fetchedRoot(state, id, x) };
    }),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(device, offset, offset).map(([id, r, a]): Move => (state) => {
      const at = { round: state.round + r, attempt: state.attempt + a };
      return { kind: "failed", device: id, ...at, reason: "broke" };
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom("join" as const, "round" as const), offset, offset)
      .map(([timer, r, a]): Move => (state) => {
        return { kind: "timeout", timer, round: state.round + r, attempt: state.attempt + a };
      }),
  },
  ...(["aggregated", "evaluated", "saved"] as const).map((kind) => ({
    weight: 2,
    arbitrary: offset.map((by): Move => (state) => ({ kind, round: state.round + by })),
  })),
);

/** What the edge owes the machine: the timers that run and the job that was asked for last. */
class Owed {
  readonly timers = new Map<string, RoundInput>();
  job: RoundInput | null = null;

  note(effects: readonly RoundEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "arm") {
        const { timer, round, attempt } = effect;
        this.timers.set(timer, { kind: "timeout", timer, round, attempt });
      } else if (effect.kind === "disarm") this.timers.delete(effect.timer);
      else if (effect.kind === "aggregate") this.job = { kind: "aggregated", round: effect.round };
      else if (effect.kind === "evaluate") this.job = { kind: "evaluated", round: effect.round };
      else if (effect.kind === "save") this.job = { kind: "saved", round: effect.round };
    }
  }
}

test("whatever happens, a run is never stuck, never counts an update twice and never merges one that it did not receive", () => {
  const settings = fc.record({
    rounds: fc.integer({ min: 1, max: 3 }),
    minDevices: fc.integer({ min: 1, max: 3 }),
    quorum: fc.constantFrom(0.3, 0.5, 0.8, 1),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
  });
  let numMerged = 0;
  let numSucceeded = 0;
  fc.assert(
    fc.property(settings, fc.array(anyMove, { maxLength: 120, size: "max" }), (chosen, moves) => {
      const run = new Run(chosen).feed({ kind: "start" });
      const owed = new Owed();
      owed.note(run.effects);
      const usable = new Map<string, string>();
      const merged = new Set<number>();
      let ended = 0;
      const feed = (input: RoundInput): void => {
        const before = run.state;
        run.feed(input);
        owed.note(run.effects);
        for (const effect of run.effects) {
          if (effect.kind === "accept" && input.kind === "received") {
            const id = `${before.round}/${effect.device}`;
            assert.ok(!usable.has(id), `${id} was accepted twice`);
            assert.equal(before.tasks.get(effect.device)?.status, "fetching");
            usable.set(id, effect.root);
          }
          if (effect.kind === "aggregate") {
            assert.ok(!merged.has(effect.round), `round ${effect.round} was merged twice`);
            merged.add(effect.round);
            numMerged++;
            assert.equal(new Set(effect.devices).size, effect.devices.length);
            assert.ok(effect.devices.length > 0);
            assert.ok(effect.devices.length >= Math.ceil(chosen.quorum * run.state.tasks.size));
            for (const id of effect.devices)
              assert.ok(usable.has(`${effect.round}/${id}`), `${id} was never received`);
          }
          if (effect.kind === "finish") ended++;
        }
        assert.ok(run.state.attempt <= chosen.maxAttempts);
        assert.ok(run.state.round <= chosen.rounds);
        const { phase } = run.state;
        if (phase === "waiting") assert.ok(owed.timers.has("join"), "waiting without a timer");
        if (phase === "training") assert.ok(owed.timers.has("round"), "training without a timer");
        if (phase === "finished") assert.equal(owed.timers.size, 0);
      };
      for (const move of moves) feed(move(run.state));
      for (let i = 0; i < 60 && run.state.phase !== "finished"; i++) {
        const due = ["waiting", "training"].includes(run.state.phase)
          ? [...owed.timers.values()].at(-1)
          : owed.job;
        assert.ok(due, `nothing is owed in ${run.state.phase}`);
        feed(due);
      }
      assert.equal(run.state.phase, "finished");
      assert.equal(ended, 1);
      if (run.state.round === chosen.rounds && merged.has(chosen.rounds)) numSucceeded++;
    }),
    { numRuns: 1000 },
  );
  assert.ok(
    numMerged > 100 && numSucceeded > 30,
    `too tame: ${numMerged} merges, ${numSucceeded} full runs`,
  );
});
