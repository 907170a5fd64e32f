/** The journal: what was appended is read, whatever a crash leaves behind it; damage is told from a torn end; one process owns it. */
import assert from "node:assert/strict";
import { appendFileSync, readFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import fc from "fast-check";
import { CheckpointError, DisplacedError } from "../../src/base/errors.ts";
import { type FoundRecords, Journal, readJournal } from "../../src/io/journal.ts";
import { must } from "../support/must.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const OPTIONS = { isSynced: false };

/** Opens with a record that holds all that was found. */
function take(folder: string): Journal {
  return Journal.take(folder, OPTIONS, ({ records }) => ({ sum: [...records] }));
}

function fileIn(folder: string): string {
  return join(folder, must(readdirSync(folder).sort().at(-1)));
}

/** A journal of some records whose owner is gone. */
function written(t: TestContext, records: readonly unknown[]): string {
  const folder = temporaryFolder(t);
  const journal = take(folder);
  for (const record of records) journal.append(record);
  journal.close();
  return folder;
}

test("what was appended is read in order, and a taker starts from the sum of it", (t) => {
  const folder = join(temporaryFolder(t), "new");
  assert.deepEqual(readJournal(folder).records, []);
  const first = Journal.take(folder, { isSynced: true }, () => "start");
  first.append({ n: 1 });
  first.append({ text: "line\nfeed ü" });
  first.close();
  assert.deepEqual(readJournal(folder).records, ["start", { n: 1 }, { text: "line\nfeed ü" }]);
  const second = take(folder);
  second.append(4);
  second.close();
  const sum = ["start", { n: 1 }, { text: "line\nfeed ü" }];
  assert.deepEqual(readJournal(folder), { records: [{ sum }, 4], tornBytes: 0 });
  assert.equal(readdirSync(folder).length, 1);
});

test("one record can take the place of all", (t) => {
  const folder = temporaryFolder(t);
  const journal = take(folder);
  journal.append(1);
  journal.replace({ all: 1 });
  journal.append(2);
  journal.close();
  assert.deepEqual(readJournal(folder).records, [{ all: 1 }, 2]);
});

test("cut anywhere, a journal gives the records that are whole, and goes on behind them", (t) => {
  const records = ["one", { two: 2 }, [3, "drei"], "four"];
  const folder = written(t, records);
  const path = fileIn(folder);
  const whole = readFileSync(path);
  const ends = [...whole.keys()].filter((i) => whole[i] === 10).map((i) => i + 1);
  for (let size = must(ends[1]); size <= whole.byteLength; size++) {
    writeFileSync(path, whole.subarray(0, size));
    const { records: found, tornBytes } = readJournal(folder);
    const numWhole = ends.filter((end) => end <= size).length - 2;
    assert.deepEqual(found.slice(1), records.slice(0, numWhole));
    assert.equal(tornBytes, size - must(ends[numWhole + 1]));
  }
  truncateSync(path, whole.byteLength - 3);
  let seen: FoundRecords | null = null;
  const next = Journal.take(folder, OPTIONS, (found) => (seen = found));
  next.append("after");
  next.close();
  assert.deepEqual(must(seen as FoundRecords | null).records.slice(1), records.slice(0, 3));
  assert.equal(readJournal(folder).records.at(-1), "after");
});

test("any unfinished line behind the records is a torn end, any changed byte before the last record is damage", (t) => {
  const folder = written(t, ["one", "two", "three"]);
  const path = fileIn(folder);
  const whole = readFileSync(path);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.boolean(), (bytes, isEnded) => {
      const garbage = bytes.map((byte) => (byte === 10 ? 0 : byte));
      writeFileSync(path, whole);
      appendFileSync(path, garbage);
      if (isEnded) appendFileSync(path, "\n");
      assert.deepEqual(readJournal(folder).records.slice(1), ["one", "two", "three"]);
    }),
  );
  const lastLine = whole.lastIndexOf(10, whole.byteLength - 2) + 1;
  for (let at = 0; at < lastLine - 1; at++) {
    const changed = Buffer.from(whole);
    changed[at] = must(whole[at]) ^ 1;
    writeFileSync(path, changed);
    assert.throws(() => readJournal(folder), CheckpointError, `byte ${at}`);
  }
});

test("records of two journals cannot be put together", (t) => {
  const [a, b] = [written(t, ["one", "two"]), written(t, ["eins", "zwei"])];
  const lines = [a, b].map((folder) => readFileSync(fileIn(folder), "utf8").split("\n"));
  const mixed = [...must(lines[0]).slice(0, 3), must(lines[1])[3], ""].join("\n");
  writeFileSync(fileIn(a), mixed);
  assert.deepEqual(readJournal(a).records.slice(1), ["one"]);
});

test("whoever takes the journal has all that its owner was told is safe, and the owner is told nothing more", (t) => {
  const folder = temporaryFolder(t);
  const owner = take(folder);
  owner.append("safe");
  let found: readonly unknown[] = [];
  const taker = Journal.take(folder, OPTIONS, ({ records }) => {
    assert.throws(() => owner.append("late"), DisplacedError);
    assert.throws(() => owner.replace("late"), DisplacedError);
    return { sum: (found = records) };
  });
  assert.deepEqual(found, [{ sum: [] }, "safe"]);
  taker.append("mine");
  assert.throws(() => owner.append("later"), DisplacedError);
  const third = take(folder);
  assert.throws(() => taker.replace("later"), DisplacedError);
  assert.throws(() => owner.append("even later"), DisplacedError);
  third.append("ours");
  assert.deepEqual(readJournal(folder).records.slice(1), ["ours"]);
});

test("of two that take it at once the later one has it, with everything", (t) => {
  const folder = written(t, ["safe"]);
  let later: Journal | null = null;
  const early = (): Journal =>
    Journal.take(folder, OPTIONS, () => {
      later = take(folder);
      return "never counts";
    });
  assert.throws(early, DisplacedError);
  must(later as Journal | null).append("on");
  assert.deepEqual(readJournal(folder).records, [{ sum: [{ sum: [] }, "safe"] }, "on"]);
});

test("a taker that dies at any point leaves the journal as it was", (t) => {
  const folder = written(t, ["safe"]);
  const dies = (): Journal =>
    Journal.take(folder, OPTIONS, () => {
      throw new RangeError("killed");
    });
  assert.throws(dies, RangeError);
  writeFileSync(join(folder, "00000002.jsonl.part"), "half a fi");
  assert.deepEqual(readJournal(folder).records, [{ sum: [] }, "safe"]);
  take(folder).close();
  assert.deepEqual(readJournal(folder).records, [{ sum: [{ sum: [] }, "safe"] }]);
  assert.equal(readdirSync(folder).length, 1);
});
