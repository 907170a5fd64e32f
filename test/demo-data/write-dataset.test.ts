/** Generated events as files that load again. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { loadDataset } from "../../src/data/dataset.ts";
import { generateEvents } from "../../src/demo-data/events.ts";
import { writeDataset } from "../../src/demo-data/write-dataset.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("what is written loads again as it was generated, with both parts and the kinds as groups", (t) => {
  const folder = join(temporaryFolder(t), "events");
  writeDataset(folder, { seed: 4, numTrain: 300, numTest: 90 });
  const data = loadDataset(folder, { seed: 1 });
  assert.deepEqual(data.train.examples, generateEvents({ seed: 4, count: 300 }));
  assert.deepEqual(data.test.examples, generateEvents({ seed: 4, count: 90, part: "test" }));
  assert.equal(
    data.columns,
    'columns: text = "text", label = "label", group = "group" (auto-detected, tsv with header)',
  );
  assert.deepEqual(data.notes, []);
});
