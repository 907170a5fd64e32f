/** JSON files: round trip, and errors that name the file. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError, DataError } from "../../src/base/errors.ts";
import { readJson, readJsonObject, writeJson } from "../../src/io/json.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("a value comes back and no temporary file stays", (context) => {
  const path = join(temporaryFolder(context), "made", "on the way", "value.json");
  writeJson(path, { a: [1, null, "é"] });
  assert.deepEqual(readJson(path), { a: [1, null, "é"] });
  assert.ok(readFileSync(path, "utf8").endsWith("}\n"));
  assert.ok(!existsSync(`${path}.part`));
});

test("a missing, malformed or unfitting file is named", (context) => {
  const path = join(temporaryFolder(context), "config.json");
  const refuses = (pattern: RegExp) => {
    assert.throws(
      () => readJsonObject(path),
      (error) => error instanceof CheckpointError && pattern.test(error.message),
    );
  };
  refuses(/cannot read .*config\.json/);
  writeFileSync(path, "{ nothing");
  refuses(/config\.json is not JSON/);
  writeFileSync(path, "[1]");
  refuses(/config\.json holds the wrong thing: expected a JSON object, got a list/);
  writeFileSync(path, "null");
  refuses(/got null/);
});

test("a failed write says where and leaves no temporary file", (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, "taken");
  mkdirSync(path);
  assert.throws(
    () => writeJson(path, 1),
    (error) => error instanceof DataError && error.message.includes(path),
  );
  assert.ok(!existsSync(`${path}.part`));
});
