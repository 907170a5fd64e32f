// Runs every compiled test with node's own runner; arguments narrow the run to paths that contain one of them.
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { finished } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

function testFiles(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return testFiles(path);
    return name.endsWith(".test.js") ? [path] : [];
  });
}

const filters = process.argv.slice(2);
const files = testFiles(join(root, "dist", "test")).filter(
  (path) => filters.length === 0 || filters.some((part) => path.includes(part)),
);
if (files.length === 0) {
  console.error(`test: no test file matches ${filters.join(" ")}`);
  process.exit(64);
}
const stream = run({ files, concurrency: 2, timeout: 600_000 });
stream.on("test:fail", () => {
  process.exitCode = 1;
});
const output = stream.compose(new spec());
output.pipe(process.stdout);
await finished(output);
