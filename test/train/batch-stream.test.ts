/** The stream of batches: whole epochs, positions, and orders that depend on the seed alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DataError } from "../../src/base/errors.ts";
import type { PackedBatch, Sequence } from "../../src/data/batch.ts";
import { BatchStream, type BatchStreamOptions } from "../../src/train/batch-stream.ts";
import { must } from "../support/must.ts";

/** Sequences whose label says which one it is. */
function numbered(lengths: readonly number[]): Sequence[] {
  return lengths.map((length, i) => ({ ids: new Array<number>(length).fill(i + 1), label: i }));
}

const lengthsArbitrary = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 90 });
const optionsArbitrary = fc.record({
  batchSize: fc.integer({ min: 1, max: 9 }),
  shuffleSeed: fc.oneof(fc.constant(null), fc.integer({ min: 0, max: 99 })),
});

function take(stream: BatchStream, count: number): PackedBatch[] {
  return Array.from({ length: count }, () => stream.next());
}

const labelsOf = (batches: readonly PackedBatch[]): number[] =>
  batches.flatMap(({ labels }) => [...labels]);

test("every epoch holds every example once, in batches of the asked size", () => {
  const property = fc.property(lengthsArbitrary, optionsArbitrary, (lengths, options) => {
    const stream = new BatchStream(numbered(lengths), options);
    for (const epoch of [0, 1]) {
      const batches = take(stream, stream.batchesPerEpoch);
      assert.deepEqual(
        labelsOf(batches).sort((a, b) => a - b),
        lengths.map((_, i) => i),
      );
      const sizes = batches.map(({ labels }) => labels.length).sort((a, b) => b - a);
      assert.ok(sizes.slice(0, -1).every((size) => size === options.batchSize));
      assert.deepEqual(stream.position, { epoch, next: stream.batchesPerEpoch });
    }
  });
  fc.assert(property, { seed: 7, numRuns: 60 });
});

test("a batch holds its sequences one behind the other and nothing else", () => {
  const property = fc.property(lengthsArbitrary, optionsArbitrary, (lengths, options) => {
    const sequences = numbered(lengths);
    const { ids, offsets, labels } = new BatchStream(sequences, options).next();
    const wanted = [...labels].map((label) => must(sequences[label]).ids);
    assert.deepEqual([...ids], wanted.flat());
    assert.equal(offsets.length, labels.length + 1);
    wanted.forEach((own, b) => {
      assert.deepEqual([...ids.subarray(offsets[b], offsets[b + 1])], own);
    });
  });
  fc.assert(property, { seed: 7, numRuns: 60 });
});

test("a stream set to a position goes on as the one that was there", () => {
  const property = fc.property(
    lengthsArbitrary,
    optionsArbitrary,
    fc.integer({ min: 0, max: 60 }),
    (lengths, options, steps) => {
      const stream = new BatchStream(numbered(lengths), options);
      take(stream, steps);
      const { position } = stream;
      const expected = take(stream, 5);
      const other = new BatchStream(numbered(lengths), options);
      other.position = position;
      assert.deepEqual(take(other, 5), expected);
    },
  );
  fc.assert(property, { seed: 7, numRuns: 60 });
});

test("without a seed the order is the file's; with one, epochs and seeds differ", () => {
  const sequences = numbered(new Array<number>(40).fill(3));
  const order = (options: Pick<BatchStreamOptions, "shuffleSeed">, epochs: number): number[] => {
    const stream = new BatchStream(sequences, { batchSize: 4, ...options });
    return labelsOf(take(stream, epochs * stream.batchesPerEpoch));
  };
  const inOrder = sequences.map((_, i) => i);
  assert.deepEqual(order({ shuffleSeed: null }, 2), [...inOrder, ...inOrder]);
  const shuffled = order({ shuffleSeed: 1 }, 2);
  assert.notDeepEqual(shuffled.slice(0, 40), inOrder);
  assert.notDeepEqual(shuffled.slice(0, 40), shuffled.slice(40));
  assert.notDeepEqual(order({ shuffleSeed: 2 }, 1), shuffled.slice(0, 40));
  assert.deepEqual(order({ shuffleSeed: 1 }, 2), shuffled);
});

test("an empty list of examples is refused", () => {
  const options = { batchSize: 1, shuffleSeed: null };
  assert.throws(() => new BatchStream([], options), DataError);
});
