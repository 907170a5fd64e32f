/** What every controller keeps to, whatever it is shown: limits, exact continuation, and numbers that are numbers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigError } from "../../../src/base/errors.ts";
import { Rng } from "../../../src/base/rng.ts";
import type {
  Choice,
  Controller,
  DeviceView,
  Outcome,
  RoundView,
} from "../../../src/strategies/controllers/controller.ts";
import { controllers, createController } from "../../../src/strategies/controllers/index.ts";

const names = Object.keys(controllers);

/** One device in one round: its limits and, for whatever it is asked, what comes back. */
interface Turn {
  readonly min: number;
  readonly width: number;
  readonly reached: number;
  readonly ranks: readonly number[];
  readonly megabytesPerRank: number;
  readonly result: {
    readonly stepMs: number;
    readonly transferMs: number;
    readonly lossFirst: number;
    readonly lossLast: number;
    readonly importance: number;
    readonly obeys: boolean;
  } | null;
}

const real = (min: number, max: number): fc.Arbitrary<number> =>
  fc.oneof(fc.double({ min, max, noNaN: true }), fc.constantFrom(min, max));

const turns: fc.Arbitrary<Turn> = fc.record({
  min: real(0, 0.9),
  width: fc.oneof(fc.constant(0), real(0, 0.09)),
  reached: real(0, 0.9),
  ranks: fc.uniqueArray(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 5 }),
  megabytesPerRank: real(0, 10),
  result: fc.option(
    fc.record({
      stepMs: real(0, 1e7),
      transferMs: real(0, 1e7),
      lossFirst: real(-10, 1e4),
      lossLast: real(-10, 1e4),
      importance: real(0, 1e9),
      obeys: fc.boolean(),
    }),
    { freq: 4 },
  ),
});

/** Rounds of up to six devices of two types, of which any may be absent. */
const courses = fc.array(fc.array(fc.option(turns), { maxLength: 6 }), {
  minLength: 1,
  maxLength: 12,
});
type Course = readonly (readonly (Turn | null)[])[];

function viewOf(turn: Turn, i: number): DeviceView {
  return {
    ...{ id: `device-${i}`, type: i % 2 === 0 ? "slow" : "fast", cores: 4 },
    ...{ sparsity: turn.reached, minSparsity: turn.min, maxSparsity: turn.min + turn.width },
    ranks: turn.ranks.toSorted((a, b) => a - b),
    cost: (choice) => costOf(turn, choice),
  };
}

function costOf({ megabytesPerRank }: Turn, { sparsity, rank }: Choice): Outcome["cost"] {
  const bytes = Math.round(megabytesPerRank * 1e6 * rank);
  return {
    ...{ gflopsPerStep: 100 * (1 - sparsity), bytesUp: bytes, bytesDown: bytes },
    memoryBytes: 1e8 + 3 * bytes,
  };
}

function outcomeOf(turn: Turn, device: string, choice: Choice): Outcome {
  const cost = costOf(turn, choice);
  if (turn.result === null) return { device, choice, cost, result: null };
  const { stepMs, transferMs, obeys, ...losses } = turn.result;
  return {
    ...{ device, choice, cost },
    result: {
      ...{ ...losses, stepMs, trainMs: 20 * stepMs, downloadMs: transferMs, uploadMs: transferMs },
      ...{ bytesUp: cost.bytesUp, bytesDown: 0, steps: 20, heldOutLoss: losses.lossFirst },
      completionMs: 20 * stepMs + 2 * transferMs,
      ...{ sparsityBefore: turn.reached, sparsity: obeys ? choice.sparsity : turn.reached },
      numSamples: 100,
    },
  };
}

/** Plays rounds `from` to the end of a course and gives what was chosen, as text. */
function play(
  controller: Controller,
  course: Course,
  rng: Rng,
  from = 0,
  to = course.length,
): string[] {
  return course.slice(from, to).map((round, i) => {
    const about: RoundView = {
      ...{ round: from + i + 1, rounds: course.length, steps: 20 },
      ...{ referenceSparsity: 0.2, finalSparsity: 0.5 },
    };
    const here = round.flatMap((turn, d) =>
      turn === null ? [] : [{ turn, view: viewOf(turn, d) }],
    );
    const choices = controller.propose(
      here.map(({ view }) => view),
      about,
      rng,
    );
    assert.deepEqual([...choices.keys()].sort(), here.map(({ view }) => view.id).sort());
    const outcomes = here.map(({ turn, view }) => {
      const choice = choices.get(view.id);
      assert.ok(choice !== undefined);
      assert.ok(choice.sparsity >= view.minSparsity && choice.sparsity <= view.maxSparsity);
      assert.ok(view.ranks.includes(choice.rank));
      return outcomeOf(turn, view.id, choice);
    });
    controller.learn(outcomes, about);
    return JSON.stringify([...choices]);
  });
}

/** JSON knows no negative zero. */
function asSaved(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

for (const name of names) {
  test(`${name} stays inside every device's limits and crashes on nothing`, () => {
    fc.assert(
      fc.property(courses, fc.integer(), (course, seed) => {
        play(createController(name), course, Rng.fromSeed(seed));
      }),
    );
  });

  test(`${name} continues from its saved state exactly as if it had not stopped`, () => {
    fc.assert(
      fc.property(courses, fc.integer(), fc.nat(12), (course, seed, stop) => {
        const middle = Math.min(stop, course.length);
        const rng = Rng.fromSeed(seed);
        const first = createController(name);
        play(first, course, rng, 0, middle);
        const { state } = rng;
        const second = createController(name);
        second.restore(JSON.parse(JSON.stringify(first.export())));
        assert.deepEqual(
          play(second, course, Rng.fromState(state), middle),
          play(first, course, rng, middle),
        );
        assert.deepEqual(asSaved(second.export()), asSaved(first.export()));
        assert.deepEqual(asSaved(second.explain("device-0")), asSaved(first.explain("device-0")));
      }),
    );
  });

  test(`${name} explains every device it has asked, in finite numbers`, () => {
    fc.assert(
      fc.property(courses, fc.integer(), (course, seed) => {
        const controller = createController(name);
        play(controller, course, Rng.fromSeed(seed));
        for (let i = 0; i < 6; i++) {
          const explanation = controller.explain(`device-${i}`);
          const wasAsked = course.some((round) => (round[i] ?? null) !== null);
          assert.equal(explanation !== null, wasAsked);
          for (const { columns, rows } of explanation?.tables ?? []) {
            for (const row of rows) {
              assert.equal(row.length, columns.length);
              for (const cell of row) assert.ok(typeof cell === "string" || Number.isFinite(cell));
            }
          }
        }
      }),
    );
  });

  test(`${name} refuses a state that it did not write, and options that it does not have`, () => {
    const controller = createController(name);
    for (const state of [null, 7, {}, { devices: "none" }, { asked: [["a", { round: -1 }]] }]) {
      assert.throws(() => controller.restore(state), ConfigError);
    }
    assert.throws(() => createController(name, { nonsense: 1 }), /unknown key nonsense/);
  });
}

test("an unknown controller is named with the nearest known one", () => {
  assert.throws(() => createController("hybrd"), /did you mean hybrid\?/);
});
