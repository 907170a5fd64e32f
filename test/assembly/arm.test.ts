/** The strict module's promise on other processors: Node for arm64 and armv7 under an emulator. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const compiled = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const bits = compiled("./bits.test.js");
const digest = compiled("../support/training-digest.js");
const TIMEOUT_MS = 240_000;

/** What .ci/install-arm leaves. */
const folder = process.env["FEDSPINE_ARM"];
const machines = [
  { name: "arm64", arch: "arm64", emulator: "qemu-aarch64-static" },
  { name: "armv7", arch: "arm", emulator: "qemu-arm-static" },
];

function absence(name: string, emulator: string): string | false {
  if (folder === undefined) return "FEDSPINE_ARM names no folder made by .ci/install-arm";
  if (!existsSync(join(folder, name, "node"))) return `${folder} has no ${name}`;
  const paths = (process.env["PATH"] ?? "").split(delimiter);
  return paths.some((path) => existsSync(join(path, emulator)))
    ? false
    : `${emulator} is not installed`;
}

for (const { name, arch, emulator } of machines) {
  const emulated = async (...args: string[]): Promise<string> => {
    const home = join(folder ?? "", name);
    const command = ["-L", join(home, "root"), join(home, "node"), ...args];
    return (await run(emulator, command, { timeout: TIMEOUT_MS })).stdout.trim();
  };
  test(`${name} computes and trains bit for bit as this machine does`, {
    skip: absence(name, emulator),
  }, async () => {
    assert.equal(await emulated("-p", "process.arch"), arch);
    // It checks the digests of every kernel and fails by its exit code.
    await emulated(bits);
    const here = (await run(process.execPath, [digest])).stdout.trim();
    assert.match(here, /^[0-9a-f]{64}$/);
    assert.equal(await emulated(digest), here);
  });
}
