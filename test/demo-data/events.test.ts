/** Generated events: seeded, distinct, filled in, and told apart by their words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { trainBagOfWords, wordsOf } from "../../src/data/bag-of-words.ts";
import { createDataset, type Example } from "../../src/data/examples.ts";
import { generateEvents } from "../../src/demo-data/events.ts";
import { EVENT_LABELS, GATEWAY_KINDS } from "../../src/demo-data/tables.ts";

const TRAIN = generateEvents({ seed: 1, count: 6000 });
const TEST = generateEvents({ seed: 1, count: 2000, part: "test" });

function shareOf(examples: readonly Example[], label: string): number {
  return examples.filter((example) => example.label === label).length / examples.length;
}

test("the seed fixes the lines, and more of them begin alike", () => {
  assert.deepEqual(generateEvents({ seed: 1, count: 500 }), TRAIN.slice(0, 500));
  assert.notDeepEqual(generateEvents({ seed: 2, count: 500 }), TRAIN.slice(0, 500));
});

test("lines are distinct, 8 to 40 words long and completely filled in", () => {
  for (const part of [TRAIN, TEST]) {
    assert.equal(new Set(part.map(({ text }) => text)).size, part.length);
  }
  for (const { text } of [...TRAIN, ...TEST]) {
    const numWords = text.split(/\s+/).length;
    assert.ok(numWords >= 8 && numWords <= 40, text);
    assert.doesNotMatch(text, /[{}|\t\n]|undefined|\s$|\s\s/, text);
  }
});

test("every class comes from every kind of gateway, in different shares", () => {
  for (const kind of GATEWAY_KINDS) {
    const own = TRAIN.filter(({ group }) => group === kind);
    assert.equal(own.length, TRAIN.length / GATEWAY_KINDS.length);
    for (const label of EVENT_LABELS) assert.ok(shareOf(own, label) > 0, `${kind} ${label}`);
  }
  const tamper = GATEWAY_KINDS.map((kind) =>
    shareOf(
      TRAIN.filter(({ group }) => group === kind),
      "tamper",
    ),
  );
  assert.ok(Math.max(...tamper) > 2 * Math.min(...tamper));
});

test("only the kinds asked for are written, and an unknown one is an error", () => {
  const groups = generateEvents({ seed: 1, count: 40, kinds: ["retail", "elevator"] });
  assert.deepEqual([...new Set(groups.map(({ group }) => group))], ["retail", "elevator"]);
  assert.throws(() => generateEvents({ seed: 1, count: 1, kinds: [] }), /got none/);
  assert.throws(
    () => generateEvents({ seed: 1, count: 1, kinds: ["bakery" as "retail"] }),
    /got bakery/,
  );
});

test("hardly a test line is a training line", () => {
  const trained = new Set(TRAIN.map(({ text }) => text));
  const known = TEST.filter(({ text }) => trained.has(text)).length;
  assert.ok(known <= TEST.length / 1000, `${known}`);
});

test("test lines hold words and turns that no training line shows", () => {
  const trained = new Set(TRAIN.flatMap(({ text }) => wordsOf(text)));
  const isNew = (word: string): boolean => /^\p{L}{4,}$/u.test(word) && !trained.has(word);
  const withNew = (examples: readonly Example[]): number =>
    examples.filter(({ text }) => wordsOf(text).some(isNew)).length / examples.length;
  const fresh = withNew(generateEvents({ seed: 3, count: 2000 }));
  const held = withNew(TEST);
  // Fresh training lines differ in slips of the pen only.
  assert.ok(fresh < 0.1, `${fresh}`);
  assert.ok(held > 0.2, `${held}`);
});

test("the same words in another order bear another label", () => {
  const byBag = new Map<string, Set<string>>();
  for (const { text, label } of TRAIN) {
    const bag = wordsOf(coreOf(text)).sort().join(" ");
    byBag.set(bag, (byBag.get(bag) ?? new Set()).add(label));
  }
  const shared = [...byBag.values()].filter((labels) => labels.size > 1).length;
  assert.ok(shared > 40, `${shared}`);
});

/** The event without opening, neutral ending, times and codes. */
function coreOf(text: string): string {
  const [core = ""] = text.split(/ \(code|; other|\. |, photos|, ack|, prio/);
  return core.slice(core.lastIndexOf(": ") + 1).replace(/\d+/g, "#");
}

test("a bag of words stays visibly short of the truth", () => {
  const train = createDataset(TRAIN);
  const accuracy = trainBagOfWords(train, { seed: 1 }).accuracy(createDataset(TEST, train.labels));
  assert.ok(accuracy > 0.68 && accuracy < 0.82, `${accuracy}`);
});
