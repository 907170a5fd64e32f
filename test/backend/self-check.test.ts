/** The self-check passes real modules and catches kernels that are wrong in small ways. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kernels } from "../../src/backend/kernels.ts";
import { createReferenceKernels } from "../../src/backend/reference.ts";
import { selfCheck, type CheckResult } from "../../src/backend/self-check.ts";
import { loadKernels } from "../../src/backend/wasm.ts";
import { runnableVariants } from "../support/kernel-suite.ts";

function failures(results: readonly CheckResult[]): string[] {
  return results.filter(({ ok }) => !ok).map(({ kernel }) => kernel);
}

test("every module that runs here passes, with each of its kernels checked", () => {
  for (const { kernels, memory, variant } of runnableVariants()) {
    const results = selfCheck(kernels, memory, createReferenceKernels(memory));
    const unchecked = ["heapBase", "int8DotOffset", "memory", "useWideTiles"];
    const names = Object.keys(kernels).filter(
      (name) => !unchecked.includes(name) && !name.endsWith("ScratchBytes"),
    );
    assert.deepEqual(results.map(({ kernel }) => kernel).sort(), names.sort(), variant);
    assert.deepEqual(failures(results), [], `${variant}: ${JSON.stringify(results)}`);
  }
});

/** Each breaks one kernel the way a slip in its source or a bad compiler would. */
const slips: Record<string, (kernels: Kernels, memory: WebAssembly.Memory) => Partial<Kernels>> = {
  "skips the last element": ({ geluF32 }) => ({
    geluF32: (out, inp, n) => geluF32(out, inp, n - 1),
  }),
  "writes one element too many": ({ fillF32 }) => ({
    fillF32: (out, value, n) => fillF32(out, value, n + 1),
  }),
  "does not add to what is there": ({ fillF32, sumRowsF32 }) => ({
    sumRowsF32: (out, inp, rows, cols) => {
      fillF32(out, 0, cols);
      sumRowsF32(out, inp, rows, cols);
    },
  }),
  "returns a wrong number": () => ({ countNonFiniteF32: () => 0 }),
  "changes its input": ({ copyF32, scaleF32 }) => ({
    copyF32: (out, inp, n) => {
      copyF32(out, inp, n);
      scaleF32(inp, inp, 2, n);
    },
  }),
  "is off by the last bit of a half": ({ f32ToF16 }, memory) => ({
    f32ToF16: (out, inp, n) => {
      f32ToF16(out, inp, n);
      const halves = new Uint16Array(memory.buffer, out, n);
      halves[0] = (halves[0] as number) ^ 1;
    },
  }),
  "gives NaN where a number belongs": ({ softmaxF32, fillF32 }) => ({
    softmaxF32: (out, inp, lengths, rows, cols) => {
      softmaxF32(out, inp, lengths, rows, cols);
      fillF32(out, NaN, 1);
    },
  }),
  traps: () => ({
    adamWF32: () => {
      throw new RangeError("memory access out of bounds");
    },
  }),
};

for (const [slip, breakKernel] of Object.entries(slips)) {
  test(`a kernel that ${slip} is caught, and no other is blamed`, () => {
    const { kernels, memory } = loadKernels();
    const broken = breakKernel(kernels, memory);
    const results = selfCheck({ ...kernels, ...broken }, memory, createReferenceKernels(memory));
    assert.deepEqual(failures(results), Object.keys(broken));
  });
}

test("the self-check leaves the memory below it as it was", () => {
  const { kernels, memory } = loadKernels();
  const length = memory.buffer.byteLength;
  const before = new Uint8Array(memory.buffer).fill(0x3c, kernels.heapBase()).slice();
  selfCheck(kernels, memory, createReferenceKernels(memory));
  assert.ok(Buffer.compare(new Uint8Array(memory.buffer, 0, length), before) === 0);
});

test("the self-check takes the same decisions each time", () => {
  const { kernels, memory } = loadKernels();
  const run = () => selfCheck(kernels, memory, createReferenceKernels(memory));
  assert.deepEqual(run(), run());
});
