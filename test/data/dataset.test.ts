/** Data files of every kind, well-formed or not: columns found, rows skipped and counted, parts kept. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { DataError } from "../../src/base/errors.ts";
import { loadDataset, loadExamples, loadTokenRows } from "../../src/data/dataset.ts";
import { folderWith } from "../support/folder-with.ts";
import { missing, sharedData } from "../support/shared-data.ts";

const FRUIT = [
  { text: "red and round", label: "apple" },
  { text: "long and yellow", label: "banana" },
];

test("a TSV with header is read by its column names and quotes stay characters", (t) => {
  const folder = folderWith(t, {
    "a.tsv": 'sentence\tlabel\n"red" and round\t1\n\nlong, and yellow\t0\n',
  });
  const { examples, columns, notes } = loadExamples(join(folder, "a.tsv"));
  assert.deepEqual(examples, [
    { text: '"red" and round', label: "1" },
    { text: "long, and yellow", label: "0" },
  ]);
  assert.equal(
    columns,
    'columns: text = "sentence", label = "label" (auto-detected, tsv with header)',
  );
  assert.deepEqual(notes, []);
});

test("a CSV may carry quotes, line breaks in them, CRLF, a byte order mark and semicolons", (t) => {
  const body = '"red; and\r\nround";apple\r\nlong and yellow;banana\r\n';
  const folder = folderWith(t, { "a.csv": `\uFEFFtext;category\r\n${body}` });
  const { examples } = loadExamples(join(folder, "a.csv"));
  assert.deepEqual(examples, [{ text: "red; and\r\nround", label: "apple" }, FRUIT[1]]);
});

test("a file without header is read by what its columns hold", (t) => {
  const folder = folderWith(t, {
    "a.csv": "0,it was bad,x1\n1,it was good,x2\n1,quite good too,x3\n0,never again,x4\n",
  });
  const { examples, columns } = loadExamples(join(folder, "a.csv"));
  assert.equal(examples.length, 4);
  assert.deepEqual(examples[0], { text: "it was bad", label: "0" });
  assert.equal(
    columns,
    "columns: text = column 2, label = column 1 (auto-detected, csv without header)",
  );
});

test("a header of unknown names is found because its words never come back", (t) => {
  const folder = folderWith(t, {
    "a.csv": "comment,verdict\nit was bad,neg\nit was good,pos\nquite good too,pos\nno,neg\n",
  });
  const { examples, columns } = loadExamples(join(folder, "a.csv"));
  assert.equal(examples.length, 4);
  assert.match(columns, /text = "comment", label = "verdict"/);
});

test("named columns win, and the group comes along", (t) => {
  const folder = folderWith(t, {
    "a.tsv": "text\tlabel\traw\tsite\nx\ta\tred and round\tnorth\ny\tb\tlong and yellow\tsouth\n",
  });
  const path = join(folder, "a.tsv");
  const named = loadExamples(path, {
    textColumn: "raw",
    labelColumn: "label",
    groupColumn: "text",
  });
  assert.deepEqual(named.examples[1], { text: "long and yellow", label: "b", group: "y" });
  assert.equal(
    named.columns,
    'columns: text = "raw", label = "label", group = "text" (as named, tsv with header)',
  );
  assert.equal(loadExamples(path).examples[0]?.group, "north");
});

test("a column that is not there is an error that names the columns present", (t) => {
  const folder = folderWith(t, { "a.csv": "text,label\nred,apple\n" });
  assert.throws(
    () => loadExamples(join(folder, "a.csv"), { labelColumn: "colour" }),
    (error) =>
      error instanceof DataError &&
      error.message.includes('no column "colour"') &&
      error.message.includes('"text", "label"'),
  );
});

test("ragged rows and rows without text or label are skipped, counted and told", (t) => {
  const folder = folderWith(t, {
    "a.tsv": "text\tlabel\nred\tapple\nlong\n\tbanana\nround\t \na\tb\tc\n",
  });
  const { examples, notes } = loadExamples(join(folder, "a.tsv"));
  assert.deepEqual(examples, [{ text: "red", label: "apple" }]);
  assert.deepEqual(notes, [
    "a.tsv: 2 rows skipped, not 2 columns wide (first: line 3)",
    "a.tsv: 1 row skipped, without text (first: line 4)",
    "a.tsv: 1 row skipped, without label (first: line 5)",
  ]);
});

test("text that is not UTF-8 is read as Latin-1 with a note, and UTF-16 by its mark", (t) => {
  const table = "text\tlabel\ncafé\tplace\n";
  const folder = folderWith(t, {
    "latin.tsv": Buffer.from(table, "latin1"),
    "wide.tsv": Buffer.from(`\uFEFF${table}`, "utf16le"),
  });
  const latin = loadExamples(join(folder, "latin.tsv"));
  assert.equal(latin.examples[0]?.text, "café");
  assert.deepEqual(latin.notes, ["latin.tsv is not UTF-8: read as Latin-1"]);
  assert.equal(loadExamples(join(folder, "wide.tsv")).examples[0]?.text, "café");
});

test("JSON lines give named columns, numbers become labels and nested keys are no columns", (t) => {
  const folder = folderWith(t, {
    "a.jsonl":
      '{"tags":["x"],"text":"red","label":1}\n\n{"text":"long","label":0,"gateway":"g2"}\n',
  });
  const { examples, columns } = loadExamples(join(folder, "a.jsonl"));
  assert.deepEqual(examples, [
    { text: "red", label: "1" },
    { text: "long", label: "0", group: "g2" },
  ]);
  assert.equal(
    columns,
    'columns: text = "text", label = "label", group = "gateway" (auto-detected, jsonl)',
  );
});

test("a broken JSON line is an error with its number", (t) => {
  const folder = folderWith(t, {
    "a.jsonl": '{"text":"red","label":1}\n{"text":\n',
    "b.jsonl": '{"text":"red","label":1}\n[1,2]\n',
  });
  assert.throws(() => loadExamples(join(folder, "a.jsonl")), /a\.jsonl line 2 is not JSON/);
  assert.throws(
    () => loadExamples(join(folder, "b.jsonl")),
    /b\.jsonl line 2 is no row: expected an object/,
  );
});

test("a data file of another kind needs its format named", (t) => {
  const folder = folderWith(t, { "a.txt": "5 How far is it ?\n3 Who was that ?\n" });
  const path = join(folder, "a.txt");
  assert.throws(() => loadExamples(path), /unknown kind of data file[^]*hint: name the format/);
  const { examples, columns } = loadExamples(path, { format: "label-text" });
  assert.deepEqual(examples, [
    { text: "How far is it ?", label: "5" },
    { text: "Who was that ?", label: "3" },
  ]);
  assert.equal(columns, 'columns: text = "text", label = "label" (auto-detected, label-text)');
});

test("a directory keeps its own split and all parts share the labels", (t) => {
  const folder = folderWith(t, {
    "train.csv": "text,label\nred,2\nlong,10\n",
    "valid.csv": "text,label\nround,2\n",
    "test.csv": "label,text\n3,green\n2,crisp\n",
    "notes.md": "not data",
  });
  const data = loadDataset(folder, { seed: 1 });
  assert.deepEqual(data.train.labels, ["2", "3", "10"]);
  assert.equal(data.test.labels, data.train.labels);
  assert.equal(data.validation?.labels, data.train.labels);
  assert.deepEqual(data.test.examples, [
    { text: "green", label: "3" },
    { text: "crisp", label: "2" },
  ]);
  assert.equal(data.split, "split: train.csv with 2 rows to train, test.csv with 2 to test");
  assert.deepEqual(data.notes, ["labels without training rows: 3"]);
});

test("a test part without labels is left out and the validation part takes its place", (t) => {
  const folder = folderWith(t, {
    "train.tsv": "sentence\tlabel\nred\t1\nlong\t0\n",
    "dev.tsv": "sentence\tlabel\nround\t1\n",
    "test.tsv": "index\tsentence\n0\tgreen\n1\tgreen\n2\tred\n3\tred\n",
  });
  const data = loadDataset(folder, { seed: 1 });
  assert.deepEqual(data.test.examples, [{ text: "round", label: "1" }]);
  assert.equal(data.validation, undefined);
  assert.deepEqual(data.notes, ["test.tsv has no labels: left out"]);
});

test("a single file is split by label with the seed", (t) => {
  const rows = Array.from({ length: 50 }, (_, i) => `text number ${i}\t${i % 5 === 0 ? "a" : "b"}`);
  const folder = folderWith(t, { "only.tsv": `text\tlabel\n${rows.join("\n")}\n` });
  const data = loadDataset(folder, { seed: 7 });
  assert.equal(data.train.examples.length, 40);
  assert.equal(data.test.examples.filter(({ label }) => label === "a").length, 2);
  assert.deepEqual(loadDataset(join(folder, "only.tsv"), { seed: 7 }), data);
  assert.notDeepEqual(loadDataset(folder, { seed: 8 }).test, data.test);
});

test("folders of seq.in and label are read line by line, and must match", (t) => {
  const folder = folderWith(t, {
    "train/seq.in": "red and round\nlong and yellow\n",
    "train/label": "apple\nbanana\n",
    "test/seq.in": "crisp\n",
    "test/label": "apple\n",
    "broken/seq.in": "one\ntwo\n",
    "broken/label": "a\n",
  });
  const data = loadDataset(folder, { seed: 1 });
  assert.deepEqual(data.train.examples, FRUIT);
  assert.equal(data.columns, "columns: text = seq.in, label = label (line-aligned files)");
  assert.throws(() => loadExamples(join(folder, "broken")), /expected 2 labels[^]*got 1/);
  assert.throws(
    () => loadExamples(join(folder, "train"), { textColumn: "text" }),
    /takes no column names/,
  );
});

test("a directory of unclear content is an error that lists what is there", (t) => {
  const folder = folderWith(t, {
    "two/train_5.csv": "text,label\na,b\n",
    "two/train_10.csv": "text,label\na,b\n",
    "none/a.csv": "text,label\na,b\n",
    "none/b.csv": "text,label\na,b\n",
  });
  assert.throws(
    () => loadDataset(join(folder, "two"), { seed: 1 }),
    /more than one train part[^]*train_10\.csv, train_5\.csv/,
  );
  assert.throws(() => loadDataset(join(folder, "none"), { seed: 1 }), /got a\.csv, b\.csv/);
  assert.throws(() => loadDataset(join(folder, "absent"), { seed: 1 }), /there is no .*absent/);
});

test("rows of token ids may lack a label but never hold anything but ids", (t) => {
  const folder = folderWith(t, {
    "a.jsonl": '{"input_ids":[1,20,2],"label":3}\n{"input_ids":[1]}\n',
    "b.jsonl": '{"input_ids":[1]}\n{"input_ids":[1,-2]}\n',
  });
  assert.deepEqual(loadTokenRows(join(folder, "a.jsonl")), [
    { inputIds: [1, 20, 2], label: "3" },
    { inputIds: [1] },
  ]);
  assert.throws(
    () => loadTokenRows(join(folder, "b.jsonl")),
    /b\.jsonl line 2, "input_ids\.1": expected >=0, got -2/,
  );
});

/** Directory, rows to train, rows to test, labels: as their publishers state them. */
const REAL = [
  ["sst2", 67_349, 872, 2],
  ["banking77", 10_003, 3_080, 77],
  ["trec", 5_452, 500, 6],
  ["hwu64", 8_954, 1_076, 64],
  ["snips", 13_084, 700, 7],
] as const;

for (const [name, numTrain, numTest, numLabels] of REAL) {
  test(`${name} loads by naming its directory`, { skip: missing(name) }, () => {
    const data = loadDataset(join(sharedData, name), { seed: 1 });
    assert.equal(data.train.examples.length, numTrain);
    assert.equal(data.test.examples.length, numTest);
    assert.equal(data.train.labels.length, numLabels);
    assert.ok(data.test.examples.every(({ text, label }) => text !== "" && label !== ""));
  });
}
