/** What threads compute has the bits of what one thread computes, for every kernel that is shared out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, test } from "node:test";
import fc from "fast-check";
import { checkCases, type CheckArgument } from "../../../src/backend/check-cases.ts";
import type { Kernels } from "../../../src/backend/kernels.ts";
import { loadThreaded, type ThreadedSet } from "../../../src/backend/threads/load.ts";
import { sharedKernels, splitsOf } from "../../../src/backend/threads/splits.ts";
import { loadKernels } from "../../../src/backend/wasm.ts";
import { bytesAfterCall } from "../../support/shared-calls.ts";

const moduleUrl = new URL("../../../../build/kernels.simd.threads.wasm", import.meta.url);
const module = new WebAssembly.Module(new Uint8Array(readFileSync(moduleUrl)));
/** Every call is divided, however small. */
const leastShareNs = 0;
const teams: ThreadedSet[] = [2, 3, 4].map((threads) =>
  loadThreaded(module, threads, undefined, leastShareNs),
);
after(() => teams.forEach((set) => set.dispose()));
const alone = loadKernels();

const cases = checkCases as unknown as Record<
  string,
  (n: number, kernels: Kernels) => readonly CheckArgument[]
>;

for (const name of sharedKernels) {
  test(`${name} gives the same bits on 1, 2, 3 and 4 threads`, () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 90 }),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 2 }),
      fc.boolean(),
      (n, parts, isWhole) => {
        // Fewer rows than the buffers hold, down to none.
        const fewer = (numbers: number[]): void => {
          splitsOf(name).forEach(({ count, sums = [] }, i) => {
            for (const pointer of sums) if (n % 4 > 0) numbers[pointer] = 0;
            if (!isWhole) numbers[count] = Math.floor((numbers[count] as number) * (parts[i] ?? 1));
          });
        };
        const run = (set: { kernels: Kernels; memory: WebAssembly.Memory }): string[] => {
          const args = (cases[name] as (typeof cases)[string])(n, set.kernels);
          return bytesAfterCall(set, name, args, n, fewer);
        };
        const want = run(alone);
        teams.forEach((team, i) => assert.deepEqual(run(team), want, `${i + 2} threads`));
      },
    );
    fc.assert(property, { seed: 11, numRuns: 40 });
  });
}
