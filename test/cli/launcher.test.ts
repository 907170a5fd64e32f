/** The launcher: what it starts node with, seen by a program of that name. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test, type TestContext } from "node:test";
import { DEVICE_FLAGS, RELAY_FLAGS, SMALL_ENVIRONMENT } from "../../src/cli/small-heap.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Arguments, one per line, and malloc's settings after them. */
function launched(t: TestContext, args: readonly string[], env: Record<string, string> = {}) {
  const folder = temporaryFolder(t);
  const seen = 'printf "%s\\n" "$@"\necho "$MALLOC_ARENA_MAX,$MALLOC_TRIM_THRESHOLD_"\n';
  writeFileSync(join(folder, "node"), `#!/bin/sh\n${seen}`, { mode: 0o755 });
  // As npm installs it.
  const link = join(folder, "fedspine");
  symlinkSync(resolve("bin/fedspine"), link);
  const PATH = `${folder}:${process.env["PATH"]}`;
  const { stdout, stderr } = spawnSync(link, args, { encoding: "utf8", env: { PATH, ...env } });
  assert.equal(stderr, "");
  const lines = stdout.trimEnd().split("\n");
  return { args: lines.slice(0, -1), malloc: lines.at(-1) };
}

test("a device is started with its flags and one malloc arena, unless someone has set another number", (t) => {
  const { args, malloc } = launched(t, ["device", "--config", "my device.json"]);
  assert.deepEqual(args.slice(0, DEVICE_FLAGS.length), [...DEVICE_FLAGS]);
  assert.match(args[DEVICE_FLAGS.length] ?? "", /\/dist\/src\/cli\/main\.js$/);
  assert.deepEqual(args.slice(DEVICE_FLAGS.length + 1), ["device", "--config", "my device.json"]);
  assert.equal(malloc, Object.values(SMALL_ENVIRONMENT).join());
  assert.match(launched(t, ["device"], { MALLOC_ARENA_MAX: "3" }).malloc ?? "", /^3,/);
});

test("a coordinator gets a small young generation", (t) => {
  const { args, malloc } = launched(t, ["coordinator", "--json"]);
  assert.deepEqual(args.slice(0, RELAY_FLAGS.length), [...RELAY_FLAGS]);
  assert.deepEqual(args.slice(RELAY_FLAGS.length + 1), ["coordinator", "--json"]);
  assert.equal(malloc, Object.values(SMALL_ENVIRONMENT).join());
});

test("every other command is started as it is", (t) => {
  const { args, malloc } = launched(t, ["train", "device"]);
  assert.deepEqual(args.slice(1), ["train", "device"]);
  assert.equal(malloc, ",");
});
