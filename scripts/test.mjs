// Builds nothing: runs the compiled tests with node's own runner. Arguments narrow the run to sources
// whose path contains one of them. Exit code 1 when a test failed, 64 when nothing matched.
import { setMaxListeners } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { finished } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/** Who takes longer hangs: the slowest file takes about a minute on two busy cores. */
const timeoutMs = 300_000;

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

/** Starts from the sources: a compiled test whose source is gone would only haunt us. */
function testSources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testSources(path);
    return entry.name.endsWith(".test.ts") ? [path] : [];
  });
}

const filters = process.argv.slice(2);
const sources = testSources("test").filter(
  (path) =>
    filters.length === 0 || filters.some((part) => path.split(sep).join("/").includes(part)),
);
if (sources.length === 0) {
  console.error(`test: no test file matches ${filters.join(" ")}`);
  process.exit(64);
}
const files = sources.map((path) => join(root, "dist", path.replace(/\.ts$/, ".js")));
const unbuilt = files.find((path) => !existsSync(path));
if (unbuilt !== undefined) {
  console.error(`test: ${relative(root, unbuilt)} is not built\nhint: node scripts/build.mjs`);
  process.exit(69);
}

// To Node 20 and 22 `timeout` is that of a file, to Node 24 that of a test, which a busy loop or an open
// handle outlives: so the run also ends when nothing has been heard of any test for as long.
const silence = new AbortController();
setMaxListeners(0, silence.signal); // Every file listens to it.
const stream = run({
  files,
  concurrency: availableParallelism(),
  timeout: timeoutMs,
  signal: silence.signal,
});
let watchdog;
stream.on("data", () => {
  clearTimeout(watchdog);
  const reason = new Error(`a test file hangs: nothing heard for ${(2 * timeoutMs) / 1000} s`);
  watchdog = setTimeout(() => silence.abort(reason), 2 * timeoutMs);
});
stream.on("test:fail", () => {
  process.exitCode = 1;
});
const report = stream.compose(new spec());
report.pipe(process.stdout);
await finished(report);
clearTimeout(watchdog);
