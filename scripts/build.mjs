// Builds the kernel modules with asc and the TypeScript with tsc; skips what is up to date.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const require = createRequire(import.meta.url);

/** Runs a tool of node_modules with this Node; its output goes to stderr so that stdout stays the command's own. */
function run(script, args) {
  const result = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: ["ignore", process.stderr.fd, process.stderr.fd],
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function toolPath(packageName, file) {
  let path;
  try {
    path = require.resolve(`${packageName}/package.json`);
  } catch {
    console.error(`build: ${packageName} is not installed\nhint: run npm ci first`);
    process.exit(69);
  }
  return join(dirname(path), file);
}

/** One digest over everything a kernel build depends on. */
function kernelDigest() {
  const hash = createHash("sha256");
  for (const name of readdirSync(join(root, "assembly")).sort()) {
    if (name.endsWith(".ts")) hash.update(name).update(readFileSync(join(root, "assembly", name)));
  }
  hash.update(readFileSync(join(root, "asconfig.json")));
  hash.update(readFileSync(toolPath("assemblyscript", "package.json")));
  return hash.digest("hex");
}

const stampPath = join(root, "build", "kernels.sha256");
const digest = kernelDigest();
if (!existsSync(stampPath) || readFileSync(stampPath, "utf8") !== digest) {
  mkdirSync(join(root, "build"), { recursive: true });
  for (const target of ["simd", "relaxed", "simd.threads", "relaxed.threads", "debug"]) {
    run(toolPath("assemblyscript", "bin/asc.js"), ["assembly/index.ts", "--target", target]);
  }
  writeFileSync(stampPath, digest);
}
run(toolPath("typescript", "bin/tsc"), ["-p", "tsconfig.json"]);

// npm marks a command as executable when it links it, not when it is built anew; npx needs it always.
for (const folder of [root, join(root, "broker")]) {
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  for (const path of Object.values(bin)) chmodSync(join(folder, path), 0o755);
}
