/** The round machine under random histories: what must hold whatever happens. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RoundEffect, RoundInput, RoundState } from "../../src/coordinator/round-state.ts";
import { Run, left, offered, present, received } from "../support/round-run.ts";

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
    { numRuns: 500 },
  );
  assert.ok(
    numMerged > 50 && numSucceeded > 15,
    `too tame: ${numMerged} merges, ${numSucceeded} full runs`,
  );
});
