/** The loader: which module it takes, that sets do not share memory, and how it fails. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemory, loadKernels, type KernelVariant } from "../../src/backend/wasm.ts";

function product(variant: KernelVariant | "auto", memory?: WebAssembly.Memory): number[] {
  const set = loadKernels(memory === undefined ? { variant } : { variant, memory });
  const at = set.kernels.heapBase() + 64;
  new Float32Array(set.memory.buffer, at, 4).set([1, 2, 3, 4]);
  const scratch = at + 64;
  set.kernels.matmulNnF32(at + 16, at, at, scratch, 2, 2, 2, 2, 2, 2, 1, 0);
  return [...new Float32Array(set.memory.buffer, at + 16, 4)];
}

test("every variant multiplies", () => {
  for (const variant of ["simd", "debug", "reference", "auto"] as const) {
    assert.deepEqual(product(variant), [7, 10, 15, 22], variant);
  }
});

test("the strict module is the default, and the choice is told", () => {
  const set = loadKernels();
  assert.equal(set.variant, "simd");
  assert.match(set.reason, /simd/);
});

test("two sets in one process have memories of their own", () => {
  const first = loadKernels();
  const second = loadKernels({ variant: "auto" });
  assert.notEqual(first.memory, second.memory);
  const at = first.kernels.heapBase() + second.kernels.heapBase();
  new Float32Array(second.memory.buffer, at, 1).fill(5);
  assert.equal(new Float32Array(first.memory.buffer, at, 1)[0], 0);
});

test("a memory of the caller's is used, and it grows", () => {
  const memory = createMemory(1);
  assert.equal(memory.buffer.byteLength, 65536);
  assert.deepEqual(product("simd", memory), [7, 10, 15, 22]);
  assert.equal(memory.grow(1), 1);
});

test("the debug module stops at a row stride that is too short", () => {
  const { kernels } = loadKernels({ variant: "debug" });
  const at = kernels.heapBase();
  assert.throws(() => kernels.matmulNnF32(at, at, at, at, 2, 2, 2, 1, 2, 2, 1, 0), /row stride/);
});
