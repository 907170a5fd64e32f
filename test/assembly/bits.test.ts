/** The strict module's promise: the same bits on every machine and at every optimisation level. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import {
  checkCases,
  type CheckArgument,
  type CheckedKernel,
} from "../../src/backend/check-cases.ts";
import type { LoadedKernels } from "../../src/backend/wasm.ts";
import { Rng } from "../../src/base/rng.ts";
import { runnableVariants } from "../support/kernel-suite.ts";

const size = 37;

/** A short digest of all that one call leaves behind, scratch excepted, and of what it returns. */
function digestOf({ kernels, memory }: LoadedKernels, kernel: CheckedKernel): string {
  const args: readonly CheckArgument[] = checkCases[kernel](size, kernels);
  const rng = Rng.fromSeed("bits");
  let end = Math.ceil(kernels.heapBase() / 64) * 64;
  const results: { address: number; bytes: number }[] = [];
  const numbers = args.map((argument) => {
    if (typeof argument === "number") return argument;
    const address = end;
    const { type, length, fill } = argument;
    const bytes = type === "scratch" ? length : length * (type === "u16" ? 2 : 4);
    end = Math.ceil((end + bytes) / 64) * 64;
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    const view = new DataView(memory.buffer, address);
    for (let i = 0; i < length && type !== "scratch"; i++) {
      if (type === "u16") view.setUint16(2 * i, fill(rng, i), true);
      else if (type === "i32") view.setInt32(4 * i, fill(rng, i), true);
      // To 12 bits, so that the platform's own logarithm and cosine have no say in the input.
      else view.setFloat32(4 * i, Math.round(fill(rng, i) * 4096) / 4096, true);
    }
    if (type !== "scratch") results.push({ address, bytes });
    return address;
  });
  const call: (...args: number[]) => unknown = kernels[kernel];
  const hash = createHash("sha256").update(JSON.stringify(call(...numbers) ?? null));
  for (const { address, bytes } of results) {
    hash.update(new Uint8Array(memory.buffer, address, bytes));
  }
  return hash.digest("hex").slice(0, 12);
}

/** Changes with the order of a sum or a coefficient; a change here changes seeded runs. */
const expected: Record<CheckedKernel, string> = {
  fillF32: "75679659c418",
  copyF32: "d76d3ff89373",
  addF32: "1d86c5a74a48",
  mulF32: "045dc4e60ade",
  scaleF32: "2b737bfce4bf",
  axpyF32: "9d080d8c2d6c",
  broadcastRowF32: "6211f03c686c",
  dropoutF32: "2deee2301e17",
  geluF32: "daa30ee794f5",
  geluBackwardF32: "8a5d0514fa03",
  geluTanhF32: "edcc41afbe9d",
  geluTanhBackwardF32: "a9923f7cb4e8",
  siluF32: "0e0c76175b28",
  siluBackwardF32: "7598c50cf53d",
  reluF32: "cff10e8717e7",
  reluBackwardF32: "9f4c21edc687",
  tanhF32: "ba1546eab731",
  tanhBackwardF32: "b5d2db517569",
  siluMulF32: "ec591915ec34",
  siluMulBackwardF32: "e8fffc8ddd52",
  layerNormF32: "684b9c798cfc",
  layerNormBackwardF32: "1fec86da045f",
  rmsNormF32: "f24e0f46a4f2",
  rmsNormBackwardF32: "e4d9d1127b6d",
  softmaxF32: "bb9b0ab21655",
  attentionF32: "9d4e3b4a56b8",
  attentionBackwardF32: "9b6788b67d31",
  attentionDecodeF32: "0907a1560c9e",
  ropeF32: "4684d1f4f091",
  gatherRowsF32: "bc35b321b09a",
  scatterAddRowsF32: "587bc93f7ee1",
  meanPoolF32: "049d05199eac",
  meanPoolBackwardF32: "54b647c0920b",
  crossEntropyF32: "a98fd950d134",
  crossEntropyBackwardF32: "0fdf4d672cf9",
  crossEntropyInPlaceF32: "aa4aefeff1a6",
  unitDotsF32: "20cf61291e0c",
  unitAbsDotsF32: "490b4567d6ba",
  unitAbsSumsF32: "cd1f8ab71a78",
  sumF32: "0a6fdd6bf30a",
  sumSquaresF32: "925c30bb2763",
  sumRowsF32: "0bdbec797255",
  dotF32: "4b354b2338bc",
  countNonFiniteF32: "78999452644a",
  adamWF32: "7b0364a55341",
  sgdF32: "895bd15e3b37",
  f16ToF32: "fde54bec182a",
  f32ToF16: "efb8d443db89",
  bf16ToF32: "e2ec44d5345e",
  f32ToBf16: "32ad59ed94f4",
  affineF32: "da1266eb5f81",
  matmulNnF32: "d68af578408a",
  matmulNtF32: "ac5c45a5a2fb",
  matmulTnF32: "9d67939a0b86",
  matmulNtInt8: "c4af8e93f7b3",
  matmulNnInt8: "caa3d924f3ec",
  matmulNtInt4: "eb3d1d4b1de9",
  matmulNnInt4: "38859d89a682",
  matmulNtF16: "e061ee1504bc",
  matmulNnF16: "fcfc05b422e9",
  quantiseRowsInt8: "24eb68bdfb4d",
  dequantiseRowsInt8: "bad792cac0c7",
  quantiseRowsInt4: "71873ca8e869",
  dequantiseRowsInt4: "eecfcb3ebb4c",
};

test("every strict kernel gives the same bits on every machine", () => {
  for (const set of runnableVariants().filter(({ variant }) => variant !== "relaxed")) {
    const names = Object.keys(checkCases) as CheckedKernel[];
    const digests = Object.fromEntries(names.map((name) => [name, digestOf(set, name)]));
    assert.deepEqual(digests, expected, set.variant);
  }
});
