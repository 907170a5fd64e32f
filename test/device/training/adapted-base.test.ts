/** The ways to start that other methods ask for: merging first, and A factors that stay. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoraModule } from "../../../src/base/adapter.ts";
import type { NamedArrays } from "../../../src/base/arrays.ts";
import { encodeAdapterFile } from "../../../src/io/adapter-file.ts";
import { assertAllClose } from "../../support/all-close.ts";
import { must } from "../../support/must.ts";
import {
  PLAN,
  PRUNING,
  round,
  someModules,
  tinyBase,
  tinyDevice,
  type RoundOfOne,
} from "../../support/tiny-device.ts";

function mergedInto(tensors: NamedArrays, modules: readonly LoraModule[]): void {
  for (const { name, a, b, scale } of modules) {
    const weight = must(tensors.get(`${name}.weight`));
    const [rank = 0, inputs = 0] = a.shape;
    weight.data.forEach((value, i) => {
      const [row, col] = [Math.floor(i / inputs), i % inputs];
      let sum = value;
      for (let r = 0; r < rank; r++) {
        sum += scale * must(b.data[row * rank + r]) * must(a.data[r * inputs + col]);
      }
      weight.data[i] = sum;
    });
  }
}

function assertClose(got: RoundOfOne, want: RoundOfOne): void {
  assertAllClose(got.losses, want.losses, 1e-4, "losses");
  got.modules.forEach(({ name, a, b }, i) => {
    const other = must(want.modules[i]);
    assertAllClose(a.data, other.a.data, 1e-3, `A of ${name}`);
    // B starts at zero, and AdamW turns the last bits of a tiny gradient into a whole step.
    assertAllClose(b.data, other.b.data, 2e-2, `B of ${name}`);
  });
}

test("merging first is training fresh factors on a base with the received ones folded in", async (t) => {
  const folder = tinyBase(t);
  const modules = someModules(folder, (i) => 1 + (i % 3));
  const heads = (await round(await tinyDevice(folder), {})).heads;
  const device = await tinyDevice(folder);
  const adapter = encodeAdapterFile({ modules, heads });
  const plan = { start: "merge", trainHead: true } as const;
  const got = await round(device, plan, adapter);
  const merged = tinyBase(t, {
    tensors: (tensors) => {
      mergedInto(tensors, modules);
      for (const [name, head] of heads) tensors.set(name, head);
    },
  });
  const want = await round(await tinyDevice(merged), {});
  assertClose(got, want);
  assert.deepEqual(
    got.modules.map(({ a }) => a.shape[0]),
    modules.map(() => PLAN.rank),
  );
  // The base itself is as before: what is received next is all that counts.
  const again = await round(device, plan, adapter);
  assert.deepEqual(again.update, got.update);
});

test("merging goes on in a pruned model with what is left of the received factors", async (t) => {
  const folder = tinyBase(t);
  const modules = someModules(folder, () => 3);
  const { heads } = await round(await tinyDevice(folder), {});
  const adapter = encodeAdapterFile({ modules, heads });
  const pruning = { ...PRUNING, sparsity: 0.3, score: "random" } as const;
  const got = await round(await tinyDevice(folder), { start: "merge", pruning }, adapter);
  const merged = tinyBase(t, {
    tensors: (tensors) => {
      mergedInto(tensors, modules);
      for (const [name, head] of heads) tensors.set(name, head);
    },
  });
  const want = await round(await tinyDevice(merged), { pruning });
  assert.deepEqual(got.structure, want.structure);
  assertClose(got, want);
});

test("with a frozen A only B is trained", async (t) => {
  const device = await tinyDevice(tinyBase(t));
  const start = await round(device, {});
  const got = await round(device, { trainA: false, steps: 20 }, start.update);
  got.modules.forEach(({ a, b }, i) => {
    const before = must(start.modules[i]);
    assert.deepEqual(a.data, before.a.data);
    assert.ok(b.data.every((value, k) => value !== before.b.data[k]));
  });
  const sumOf = (losses: readonly number[]): number => losses.reduce((sum, loss) => sum + loss);
  assert.ok(sumOf(got.losses.slice(10)) < sumOf(got.losses.slice(0, 10)));
  const free = await round(device, { steps: 20 }, start.update);
  free.modules.forEach(({ a }, i) => assert.notDeepEqual(a.data, must(start.modules[i]).a.data));
});

test("a frozen A is the same on fresh devices of every rank, row by row", async (t) => {
  const folder = tinyBase(t);
  const wide = await round(await tinyDevice(folder), { trainA: false, rank: 4, alpha: 8 });
  const narrow = await round(await tinyDevice(folder), { trainA: false, rank: 2, alpha: 4 });
  narrow.modules.forEach(({ a }, i) => {
    assert.deepEqual(a.data, must(wide.modules[i]).a.data.slice(0, a.data.length));
  });
});
