/** The bag-of-words baseline: what it can learn, and what it cannot see. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { trainBagOfWords, wordsOf } from "../../src/data/bag-of-words.ts";
import { loadDataset } from "../../src/data/dataset.ts";
import { createDataset, type Example } from "../../src/data/examples.ts";
import { sampleExamples } from "../../src/data/split.ts";
import { missing, sharedData } from "../support/shared-data.ts";

test("words are lower case, keep inner apostrophes and drop signs", () => {
  assert.deepEqual(wordsOf("It's 3.5 km -- NOT Müller’s, gw-7!"), [
    "it's",
    "3",
    "5",
    "km",
    "not",
    "müller’s",
    "gw",
    "7",
  ]);
});

const WORDS = "alpha bravo charlie delta echo foxtrot golf hotel".split(" ");

/** Texts of random words with one word that gives the class. */
function texts(count: number, seed: number): Example[] {
  const rng = Rng.fromSeed(seed);
  return Array.from({ length: count }, () => {
    const label = rng.pick(["red", "green", "blue"]);
    const words = [...Array.from({ length: 6 }, () => rng.pick(WORDS)), `${label}ish`];
    return { text: rng.shuffle(words).join(" "), label };
  });
}

test("a class given away by one word is learned", () => {
  const model = trainBagOfWords(createDataset(texts(200, 1)), { seed: 1 });
  assert.deepEqual(model.labels, ["blue", "green", "red"]);
  assert.equal(model.vocabularySize, WORDS.length + 3);
  assert.equal(model.accuracy(createDataset(texts(100, 2))), 1);
});

test("the order of two words is invisible without bigrams and learned with them", () => {
  const rng = Rng.fromSeed(5);
  const examples = Array.from({ length: 400 }, (_, i): Example => {
    const isUp = i % 2 === 0;
    const pair = isUp ? "down up" : "up down";
    return { text: `${rng.pick(WORDS)} ${pair} ${rng.pick(WORDS)}`, label: isUp ? "up" : "down" };
  });
  const data = createDataset(examples);
  const unigrams = trainBagOfWords(data, { seed: 1 }).accuracy(data);
  assert.ok(unigrams < 0.7, `${unigrams}`);
  assert.equal(trainBagOfWords(data, { seed: 1, bigrams: true }).accuracy(data), 1);
});

test("the seed fixes the model, and stronger decay makes it more even", () => {
  const data = createDataset(texts(60, 1));
  const probe = texts(300, 9).map(({ text }) => text);
  const answers = (seed: number, l2: number) => {
    const model = trainBagOfWords(data, { seed, l2, numEpochs: 2 });
    return probe.map((text) => model.predict(text));
  };
  assert.deepEqual(answers(1, 1e-5), answers(1, 1e-5));
  // With decay this strong only the bias is left, and that is the same for every text.
  assert.equal(new Set(answers(1, 10)).size, 1);
});

test("a text of unknown words gets the most frequent class", () => {
  const examples = texts(90, 1).map((example, i) =>
    i < 60 ? { ...example, label: "red" } : example,
  );
  const model = trainBagOfWords(createDataset(examples), { seed: 1 });
  assert.equal(model.labels[model.predict("zulu")], "red");
});

test("nothing to learn from is an error", () => {
  assert.throws(() => trainBagOfWords(createDataset([]), { seed: 1 }), /two labels or more/);
});

/** Directory, rows used, accuracy that a sound implementation reaches. */
const REAL = [
  ["sst2", 16_000, 0.77],
  ["trec", 5_452, 0.83],
  ["snips", 4_000, 0.94],
] as const;

for (const [name, numRows, floor] of REAL) {
  test(`${name} reaches ${floor}`, { skip: missing(name) }, () => {
    const { train, test: held } = loadDataset(join(sharedData, name), { seed: 1 });
    const examples = sampleExamples(train.examples, numRows, Rng.fromSeed(1));
    const model = trainBagOfWords(createDataset(examples, train.labels), { seed: 1 });
    const accuracy = model.accuracy(held);
    assert.ok(accuracy > floor, `${accuracy}`);
  });
}
