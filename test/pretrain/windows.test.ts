/** Windows: what one holds, that an epoch shows each once, and that a position resumes exactly. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DataError } from "../../src/base/errors.ts";
import type { Corpus } from "../../src/pretrain/corpus.ts";
import { splitCorpus, WindowSampler } from "../../src/pretrain/windows.ts";

/** Two documents whose ids count up from 100, so that an id tells its place. */
function countingCorpus(first: number, second: number): Corpus {
  return {
    ids: Uint16Array.from({ length: first + second }, (_, i) => 100 + i),
    documents: [
      { name: "first", start: 0, length: first },
      { name: "second", start: first, length: second },
    ],
  };
}

const frame = { prefix: [2], suffix: [3] };

function rowsOf(ids: Int32Array, windowTokens: number): number[][] {
  return Array.from({ length: ids.length / windowTokens }, (_, row) => [
    ...ids.subarray(row * windowTokens, (row + 1) * windowTokens),
  ]);
}

test("a window is a contiguous stretch of one document between the frame's ids", () => {
  const corpus = countingCorpus(57, 83);
  const sampler = new WindowSampler(corpus, { windowTokens: 10, frame, seed: 1 });
  for (const row of rowsOf(sampler.next(60), 10)) {
    const body = row.slice(1, -1);
    const first = body[0] as number;
    assert.deepEqual([row[0], row.at(-1)], [2, 3]);
    assert.deepEqual(
      body,
      Array.from({ length: 8 }, (_, i) => first + i),
    );
    assert.ok(first + 7 < 157 || first >= 157, "the window crosses a document's end");
  }
});

test("an epoch shows no token twice and leaves out less than two windows of a document", () => {
  const sampler = new WindowSampler(countingCorpus(57, 83), { windowTokens: 10, frame, seed: 1 });
  const rows = rowsOf(sampler.next(sampler.epochWindows), 10);
  assert.deepEqual(sampler.position, { epoch: 0, next: rows.length });
  const body = rows.flatMap((row) => row.slice(1, -1));
  assert.equal(new Set(body).size, body.length);
  assert.ok(body.length > 140 - 2 * 2 * 8);
});

test("epochs differ in order and in where they cut, the same seed gives the same windows", () => {
  const corpus = countingCorpus(400, 400);
  const make = (seed: number) => new WindowSampler(corpus, { windowTokens: 18, frame, seed });
  const starts = (ids: Int32Array) => new Set(rowsOf(ids, 18).map((row) => row[1] as number));
  const sampler = make(1);
  const first = sampler.next(sampler.epochWindows);
  const second = sampler.next(first.length / 18);
  assert.notDeepEqual(starts(first), starts(second));
  assert.deepEqual(make(1).next(first.length / 18), first);
  assert.notDeepEqual(make(2).next(first.length / 18), first);
});

test("a sampler set to a saved position goes on with the same windows", () => {
  const corpus = countingCorpus(57, 83);
  const options = { windowTokens: 10, frame, seed: "resume" };
  const sampler = new WindowSampler(corpus, options);
  sampler.next(23);
  const { position } = sampler;
  const expected = sampler.next(40);
  const resumed = new WindowSampler(corpus, options);
  resumed.position = position;
  assert.deepEqual(resumed.next(40), expected);
});

test("a causal frame without a suffix fills the window", () => {
  const sampler = new WindowSampler(countingCorpus(40, 40), {
    windowTokens: 8,
    frame: { prefix: [2], suffix: [] },
    seed: 1,
  });
  const row = [...sampler.next(1)];
  assert.equal(row[0], 2);
  assert.equal(row[7], (row[1] as number) + 6);
});

test("the held-out split takes the end of every document and shares no token", () => {
  const { training, heldOut } = splitCorpus(countingCorpus(100, 50), 0.1);
  assert.deepEqual(
    training.documents.map(({ start, length }) => [start, length]),
    [
      [0, 90],
      [100, 45],
    ],
  );
  assert.deepEqual(
    heldOut.documents.map(({ start, length }) => [start, length]),
    [
      [90, 10],
      [145, 5],
    ],
  );
});

test("windows longer than every document are refused", () => {
  const options = { windowTokens: 64, frame, seed: 1 };
  assert.throws(() => new WindowSampler(countingCorpus(61, 20), options), DataError);
  assert.doesNotThrow(() => new WindowSampler(countingCorpus(62, 20), options));
});
