/** V8's merging of vectors, which a process may have switched on: it must not stumble over any kernel. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { allowWideVectors } from "../../src/backend/wide-tiles.ts";

const program = `
  const { readFileSync } = require("node:fs");
  new WebAssembly.Module(readFileSync(process.argv[1]));
`;
/** Optimises every kernel at once instead of when it has run for a while. */
const flags = ["--experimental-wasm-revectorize", "--no-liftoff", "--no-wasm-lazy-compilation"];

for (const name of ["simd", "relaxed", "simd.threads", "relaxed.threads"]) {
  test(`every kernel of ${name} compiles to vectors of 256 bits`, {
    skip: allowWideVectors() ? false : "this V8 merges no vectors",
  }, () => {
    const path = fileURLToPath(new URL(`../../../build/kernels.${name}.wasm`, import.meta.url));
    const { status, stderr } = spawnSync(process.execPath, [...flags, "-e", program, path]);
    assert.equal(status, 0, stderr.toString());
  });
}
