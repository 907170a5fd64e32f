/** Files stay short enough to be read in one sitting. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listFiles, readSource } from "./support/sources.ts";

const maxLines = 500;
const longLines = 300;

const folders = ["src", "assembly", "broker/src", "bench", "scripts", "test"];
const sizes = [...listFiles(folders, ".ts"), ...listFiles(folders, ".mjs")].map((path) => ({
  path,
  lines: readSource(path).split("\n").length - 1,
}));

test(`no source has more than ${maxLines} lines`, (t) => {
  for (const { path, lines } of sizes) {
    if (lines > longLines) t.diagnostic(`${path} has ${lines} lines: is it two things?`);
  }
  assert.deepEqual(
    sizes.filter(({ lines }) => lines > maxLines),
    [],
  );
});

test("every source opens with what it is for", () => {
  const silent = sizes.filter(
    ({ path }) => !/^(#!.*\n)?(\/\*\*(\n \*)?|\/\/) \S/.test(readSource(path)),
  );
  assert.deepEqual(silent, []);
});
