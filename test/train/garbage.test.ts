/** What training leaves to JavaScript's garbage collector: next to nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../support/steps-process.js", import.meta.url));

test("200 steps with adapters on every layer make at most two small collections and no large one", () => {
  const flags = ["--expose-gc", "--trace-gc", "--min-semi-space-size=16"];
  const args = [...flags, SCRIPT, "200"];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const between = stdout.split("begin\n")[1]?.split("end\n")[0];
  assert.ok(between !== undefined, stderr);
  const collections = between.split("\n").filter((line) => / ms: /.test(line));
  assert.ok(collections.length <= 2, between);
  assert.ok(
    collections.every((line) => /Scavenge/.test(line)),
    between,
  );
});
