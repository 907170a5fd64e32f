/** Seeded splits of examples: stratified by label, and plain samples. */
import type { Rng } from "../base/rng.ts";
import type { Example } from "./examples.ts";

/** The examples of each label by index, labels in order of first appearance. */
export function indicesByLabel(examples: readonly Example[]): Map<string, number[]> {
  const byLabel = new Map<string, number[]>();
  examples.forEach(({ label }, index) => {
    const indices = byLabel.get(label);
    if (indices === undefined) byLabel.set(label, [index]);
    else indices.push(index);
  });
  return byLabel;
}

/** Holds out `testRatio` (0..1) of every label; a label with two or more examples is on both sides. */
export function stratifiedSplit(
  examples: readonly Example[],
  testRatio: number,
  rng: Rng,
): { train: Example[]; test: Example[] } {
  const isTest = new Uint8Array(examples.length);
  for (const indices of indicesByLabel(examples).values()) {
    const wanted = Math.round(indices.length * testRatio);
    const count = indices.length < 2 ? 0 : Math.min(Math.max(wanted, 1), indices.length - 1);
    for (const index of rng.shuffle(indices).slice(0, count)) isTest[index] = 1;
  }
  const train: Example[] = [];
  const test: Example[] = [];
  examples.forEach((example, index) => (isTest[index] === 1 ? test : train).push(example));
  return { train, test };
}

/** `count` examples without repetition in their original order; all of them where there are fewer. */
export function sampleExamples(examples: readonly Example[], count: number, rng: Rng): Example[] {
  const order = rng.shuffle(examples.map((_, index) => index)).slice(0, count);
  return order.sort((a, b) => a - b).map((index) => examples[index] as Example);
}
