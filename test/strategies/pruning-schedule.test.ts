/** The ramp of sparsity: monotone for every device, exact at the end for whoever is there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigError } from "../../src/base/errors.ts";
import {
  corridor,
  pruningSchedule,
  type PruningSchedule,
} from "../../src/strategies/pruning-schedule.ts";

const schedules: fc.Arbitrary<PruningSchedule> = fc.record({
  final: fc.double({ min: 0, max: 0.95, noNaN: true }),
  warmupShare: fc.double({ min: 0, max: 0.6, noNaN: true }),
  cooldownShare: fc.double({ min: 0, max: 0.6, noNaN: true }),
  shape: fc.constantFrom("cubic" as const, "once" as const),
  maxStep: fc.double({ min: 0.01, max: 0.3, noNaN: true }),
  slack: fc.double({ min: 0, max: 0.3, noNaN: true }),
});

/** A device's course: whether it takes part, and where in its corridor it chooses to be. */
const courses = fc.array(
  fc.record({ takesPart: fc.boolean(), position: fc.double({ min: 0, max: 1, noNaN: true }) }),
  { minLength: 1, maxLength: 60 },
);

test("whatever a device chooses, its sparsity never falls and never passes the final one", () => {
  fc.assert(
    fc.property(schedules, courses, (schedule, course) => {
      let reached = 0;
      course.forEach(({ takesPart, position }, i) => {
        const { min, max, reference } = corridor(schedule, i + 1, course.length, reached);
        assert.ok(reached <= min && min <= max && max <= schedule.final);
        assert.ok(reference >= 0 && reference <= schedule.final);
        if (takesPart) reached = Math.min(max, min + position * (max - min));
      });
    }),
  );
});

test("a device that takes part after the ramp ends exactly at the final sparsity", () => {
  fc.assert(
    fc.property(schedules, courses, (schedule, course) => {
      let reached = 0;
      const rounds = course.length;
      course.forEach(({ takesPart, position }, i) => {
        const { min, max } = corridor(schedule, i + 1, rounds, reached);
        const isLast = i + 1 === rounds;
        if (takesPart || isLast) reached = min + position * (max - min);
      });
      assert.equal(reached, schedule.final);
    }),
  );
});

test("a device that is there in every round takes no step beyond the limit", () => {
  const schedule = pruningSchedule({ final: 0.6 });
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 100, maxLength: 100 }),
      (positions) => {
        let reached = 0;
        positions.forEach((position, i) => {
          const { min, max } = corridor(schedule, i + 1, 100, reached);
          assert.ok(max - reached <= schedule.maxStep + 1e-12);
          reached = min + position * (max - min);
        });
      },
    ),
  );
});

test("nobody prunes in the warm-up and the ramp takes its large steps first", () => {
  const schedule = pruningSchedule({ final: 0.5 });
  assert.deepEqual(corridor(schedule, 10, 100, 0), { min: 0, max: 0, reference: 0 });
  const references = [11, 20, 45, 79, 80, 100].map(
    (round) => corridor(schedule, round, 100, 0).reference,
  );
  assert.deepEqual(
    references.map((value) => Number(value.toFixed(3))),
    [0.021, 0.185, 0.438, 0.5, 0.5, 0.5],
  );
});

test("a device far behind catches up in equal steps, at the end in one", () => {
  const schedule = pruningSchedule({ final: 0.5 });
  assert.equal(corridor(schedule, 60, 100, 0).max, 0.1);
  assert.equal(corridor(schedule, 79, 100, 0).max, 0.25);
  assert.deepEqual(corridor(schedule, 95, 100, 0.1), { min: 0.5, max: 0.5, reference: 0.5 });
});

test("pruning once is one step right after the warm-up", () => {
  const schedule = pruningSchedule({ final: 0.5, shape: "once" });
  assert.equal(corridor(schedule, 10, 100, 0).max, 0);
  assert.deepEqual(corridor(schedule, 11, 100, 0), { min: 0.5, max: 0.5, reference: 0.5 });
});

test("a device that is sparser than the end stays as it is", () => {
  const schedule = pruningSchedule({ final: 0.3 });
  const { min, max } = corridor(schedule, 90, 100, 0.4);
  assert.deepEqual({ min, max }, { min: 0.4, max: 0.4 });
});

test("settings that cannot be are refused by name", () => {
  assert.throws(() => pruningSchedule({ final: 1 }), ConfigError);
  const misspelt = { final: 0.5, warmupshare: 0.1 };
  assert.throws(() => pruningSchedule(misspelt), /did you mean warmupShare\?/);
});
