/** Atomic writes: all or nothing, and errors that name the path. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DataError } from "../../src/base/errors.ts";
import { writeFileAtomic } from "../../src/io/atomic-file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("chunks are written one after another over the old content", (context) => {
  const path = join(temporaryFolder(context), "file");
  writeFileSync(path, "older and longer");
  writeFileAtomic(path, [Buffer.from("ab"), Buffer.from("c")]);
  assert.equal(readFileSync(path, "utf8"), "abc");
});

test("a write that breaks off leaves the old content and no temporary file", (context) => {
  const path = join(temporaryFolder(context), "file");
  writeFileSync(path, "old");
  function* broken(): Generator<Uint8Array> {
    yield Buffer.from("half of the n");
    throw new RangeError("out of values");
  }
  assert.throws(
    () => writeFileAtomic(path, broken()),
    (error) => error instanceof DataError && error.message.includes(`${path} (out of values)`),
  );
  assert.equal(readFileSync(path, "utf8"), "old");
  assert.ok(!existsSync(`${path}.part`));
});

test("a path below a file is refused by name", (context) => {
  const file = join(temporaryFolder(context), "file");
  writeFileSync(file, "old");
  assert.throws(
    () => writeFileAtomic(join(file, "below"), [Buffer.from("new")]),
    (error) => error instanceof DataError && error.message.includes("below"),
  );
  assert.equal(readFileSync(file, "utf8"), "old");
});
