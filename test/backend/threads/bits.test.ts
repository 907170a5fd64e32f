/** What threads compute has the bits of what one thread computes, for every kernel that is shared out. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { checkCases, type CheckArgument } from "../../../src/backend/check-cases.ts";
import type { Kernels } from "../../../src/backend/kernels.ts";
import { sharedKernels, splitsOf } from "../../../src/backend/threads/splits.ts";
import { loadKernels } from "../../../src/backend/wasm.ts";
import { bytesAfterCall, type KernelSet } from "../../support/shared-calls.ts";

/** Every call is divided, however small. */
const leastShareNs = 0;
const groups = [loadKernels({ variant: "simd" }), loadKernels({ variant: "auto" })].map((alone) => {
  const { variant } = alone;
  const teams = [2, 3, 4].map((threads) => loadKernels({ variant, threads, leastShareNs }));
  return { variant, alone, teams };
});
after(() => groups.forEach(({ teams }) => teams.forEach((set) => set.dispose())));

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
        // Fewer rows than the buffers hold, down to none, and mostly without what sums over them.
        const change = (numbers: number[]): void => {
          splitsOf(name).forEach(({ count, sums = [] }, i) => {
            for (const pointer of sums) if (n % 4 > 0) numbers[pointer] = 0;
            if (!isWhole) numbers[count] = Math.floor((numbers[count] as number) * (parts[i] ?? 1));
          });
        };
        const run = (set: KernelSet): string[] => {
          const args = (cases[name] as (typeof cases)[string])(n, set.kernels);
          return bytesAfterCall(set, name, args, n, change);
        };
        for (const { variant, alone, teams } of groups) {
          const want = run(alone);
          for (const team of teams) {
            assert.equal(team.variant, variant);
            assert.deepEqual(run(team), want, `${team.threads} threads, ${variant}`);
          }
        }
      },
    );
    // A product large enough to be divided by blocks of columns.
    const examples: [number, number[], boolean][] = name.startsWith("matmul")
      ? [[300, [1, 1], true]]
      : [];
    fc.assert(property, { seed: 11, numRuns: 30, examples });
  });
}
