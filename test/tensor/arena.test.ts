/** The three regions: steps vanish, blocks are reused, dead tensors are refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ArenaError, ShapeError } from "../../src/base/errors.ts";
import { Arena } from "../../src/tensor/arena.ts";
import { Engine } from "../../src/tensor/engine.ts";

test("live blocks never overlap, whatever the order of allocations, frees and steps", () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant("weights" as const),
      bytes: fc.integer({ min: 0, max: 200000 }),
    }),
    fc.record({ kind: fc.constant("state" as const), bytes: fc.integer({ min: 0, max: 5000 }) }),
    fc.record({ kind: fc.constant("step" as const), bytes: fc.integer({ min: 0, max: 900000 }) }),
    fc.record({ kind: fc.constant("free" as const), index: fc.nat(50) }),
    fc.record({
      kind: fc.constant("shrink" as const),
      index: fc.nat(50),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    fc.record({ kind: fc.constant("mark" as const) }),
    fc.record({ kind: fc.constant("release" as const) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const memory = new WebAssembly.Memory({ initial: 1 });
      const arena = new Arena(memory, 1024);
      let blocks: { start: number; end: number; step: boolean }[] = [];
      const marks: { mark: ReturnType<Arena["mark"]>; kept: number }[] = [];
      for (const act of actions) {
        if (act.kind === "free") {
          const owned = blocks.filter((block) => !block.step);
          const victim = owned[act.index % Math.max(1, owned.length)];
          if (victim !== undefined) {
            arena.free(victim.start);
            blocks = blocks.filter((block) => block !== victim);
          }
        } else if (act.kind === "shrink") {
          const owned = blocks.filter((block) => !block.step);
          const block = owned[act.index % Math.max(1, owned.length)];
          if (block !== undefined) {
            const bytes = Math.floor(act.share * (block.end - block.start));
            arena.shrink(block.start, bytes);
            block.end = block.start + Math.max(1, bytes);
          }
        } else if (act.kind === "mark") {
          marks.push({ mark: arena.mark(), kept: blocks.filter((block) => block.step).length });
        } else if (act.kind === "release") {
          const last = marks.pop();
          if (last === undefined) continue;
          arena.release(last.mark);
          let seen = 0;
          blocks = blocks.filter((block) => !block.step || seen++ < last.kept);
        } else {
          const start = arena.allocate(act.kind, act.bytes);
          const end = start + Math.max(1, act.bytes);
          assert.equal(start % 64, 0);
          assert.ok(start >= 1024 && end <= memory.buffer.byteLength);
          for (const other of blocks) assert.ok(end <= other.start || start >= other.end);
          blocks.push({ start, end, step: act.kind === "step" });
        }
      }
    }),
  );
});

test("the tail of a shrunk block is counted free and used again", () => {
  const { arena } = Engine.create();
  const block = arena.allocate("weights", 6400);
  arena.allocate("weights", 64);
  const { weights, memoryBytes } = arena.stats;
  arena.shrink(block, 700);
  assert.equal(arena.stats.weights, weights - 6400 + 704);
  assert.equal(arena.allocate("state", 5000), block + 704);
  arena.free(block);
  assert.equal(arena.allocate("state", 704), block);
  assert.equal(arena.stats.memoryBytes, memoryBytes);
  assert.throws(() => arena.shrink(block, 800), /cannot grow in place: expected at most 704 bytes/);
  assert.throws(() => arena.shrink(block + 64, 1), /no block was allocated at this address/);
});

test("a step gives all its memory back and reports its peak", () => {
  const engine = Engine.create();
  const before = engine.stats;
  engine.step(() => {
    engine.empty([1000]);
    engine.step(() => engine.empty([5000]));
    engine.empty([10]);
  });
  const { step, stepPeak, weights } = engine.stats;
  assert.equal(step, before.step);
  assert.equal(weights, before.weights);
  assert.ok(stepPeak >= 24000 && stepPeak < 26000, String(stepPeak));
});

test("memory stops growing after the first step of a kind", () => {
  const engine = Engine.create();
  const run = (): void => engine.step(() => void engine.empty([3_000_000]));
  run();
  const { memoryBytes } = engine.stats;
  for (let i = 0; i < 5; i++) run();
  assert.equal(engine.stats.memoryBytes, memoryBytes);
});

test("a step tensor read after its step is an error, a copy is not", () => {
  const engine = Engine.create();
  const [leaked, copy] = engine.step(() => {
    const tensor = engine.zeros([3]);
    return [tensor, tensor.toHost()] as const;
  });
  assert.throws(() => leaked.f32, ArenaError);
  assert.deepEqual([...copy], [0, 0, 0]);
});

test("asking for more than a 32-bit memory holds names the region and helps", () => {
  const engine = Engine.create();
  assert.throws(
    () => engine.empty([2 ** 30], "weights"),
    (error) => error instanceof ArenaError && /weights region/.test(error.message),
  );
});

test("reading a tensor as another type or shape is an error", () => {
  const engine = Engine.create();
  const ids = engine.integers([1, 2, 3], "state");
  assert.throws(() => ids.f32, ShapeError);
  assert.throws(() => ids.reshape([2, 2]), ShapeError);
  assert.deepEqual([...ids.reshape([3, 1]).i32], [1, 2, 3]);
});

test("a cleared arena hands out the same addresses again and reads of step tensors from before fail", () => {
  const engine = Engine.create();
  const allocate = (): number[] => [
    engine.empty([100], "weights").ptr,
    engine.empty([7], "state").ptr,
    engine.empty([3]).ptr,
  ];
  const before = engine.empty([5]);
  engine.clear();
  const first = allocate();
  engine.free(engine.empty([9], "weights"));
  const { memoryBytes } = engine.stats;
  engine.clear();
  assert.deepEqual(allocate(), first);
  assert.equal(engine.stats.memoryBytes, memoryBytes);
  assert.equal(engine.stats.weights, 448);
  assert.throws(() => before.f32, ArenaError);
});
