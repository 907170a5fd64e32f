/** Wide tiles are switched on where they are faster, by a clock that the test holds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kernels } from "../../src/backend/kernels.ts";
import { loadKernels } from "../../src/backend/wasm.ts";
import { trustsMerging, wideTilesPay } from "../../src/backend/wide-tiles.ts";

/** A set whose products take the time that `durationMs` gives, and its clock. */
function timedSet(durationMs: (isWide: boolean, call: number) => number) {
  const { kernels, memory } = loadKernels({ wideTiles: "never" });
  let [nowMs, isWide, calls] = [0, false, 0];
  const timed: Kernels = {
    ...kernels,
    useWideTiles(on) {
      isWide = on === 1;
      kernels.useWideTiles(on);
    },
    matmulNtF32(...args) {
      nowMs += durationMs(isWide, calls++);
      kernels.matmulNtF32(...args);
    },
  };
  return { timed, memory, clock: { nowMs: () => nowMs }, calls: () => calls };
}

/** Two calls per turn: optimised from that call on, the wide tile before the narrow one. */
const optimisedAt = { wide: 100, narrow: 300 };

test("tiles of either width are timed until V8 has optimised both, and the faster ones are taken", () => {
  const duration = (wideMs: number) => (isWide: boolean, call: number) => {
    if (isWide) return call < optimisedAt.wide ? 16 : wideMs;
    return call < optimisedAt.narrow ? 16 : 4;
  };
  const fast = timedSet(duration(2));
  assert.equal(wideTilesPay(fast.timed, fast.memory, fast.clock), true);
  assert.ok(fast.calls() >= optimisedAt.narrow && fast.calls() < optimisedAt.narrow + 10);
  // Faster than the narrow tile only as long as that is not optimised: where V8 does not merge vectors.
  const slow = timedSet(duration(8));
  assert.equal(wideTilesPay(slow.timed, slow.memory, slow.clock), false);
});

test("wide tiles are not taken where they are as fast", () => {
  const set = timedSet(() => 4);
  assert.equal(wideTilesPay(set.timed, set.memory, set.clock), false);
});

test("wide tiles are not taken where they give another result", () => {
  const { timed, memory, clock } = timedSet((isWide, call) => (call < 100 ? 16 : isWide ? 2 : 4));
  let isWide = false;
  const wrong: Kernels = {
    ...timed,
    useWideTiles(on) {
      isWide = on === 1;
      timed.useWideTiles(on);
    },
    matmulNtF32(...args) {
      timed.matmulNtF32(...args);
      if (isWide) new DataView(memory.buffer).setUint8(args[0], 1);
    },
  };
  assert.equal(wideTilesPay(wrong, memory, clock), false);
});

test("wide tiles can be refused", () => {
  assert.doesNotMatch(loadKernels({ wideTiles: "never" }).reason, /256/);
});

test("vectors are merged on tested versions of V8 unless the environment says otherwise", () => {
  const tested = "13.6.233.17-node.53";
  assert.equal(trustsMerging(tested, undefined), true);
  assert.equal(trustsMerging(tested, "128"), false);
  for (const other of ["11.3.244.8-node.33", "14.1.146.11-node.14", "13.60.1"]) {
    assert.equal(trustsMerging(other, undefined), false, other);
    assert.equal(trustsMerging(other, "256"), true, other);
  }
});
