/** Declared dependencies are those that are imported, no more and no fewer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { importsOf, listFiles, packageOf, readSource } from "./support/sources.ts";

interface PackageFile {
  readonly dependencies?: Readonly<Record<string, string>>;
  /** Imported where it is needed, with an error that says how to get it. */
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Used by command or by the compiler rather than by import. */
const tools = ["@types/cli-progress", "@types/node", "@types/ws", "assemblyscript", "prettier"];

function declared(path: string): PackageFile {
  return JSON.parse(readSource(path)) as PackageFile;
}

/** Third-party packages that the files import, sorted. */
function imported(paths: readonly string[]): string[] {
  const names = paths.flatMap((path) =>
    importsOf(path, readSource(path)).flatMap(({ specifier, target }) =>
      target !== undefined || specifier.startsWith("node:") ? [] : [packageOf(specifier)],
    ),
  );
  return [...new Set(names)].sort();
}

const root = declared("package.json");

test("package.json lists exactly what src/ imports", () => {
  assert.deepEqual(
    imported(listFiles(["src"], ".ts")),
    [root.dependencies ?? {}, root.optionalDependencies ?? {}].flatMap(Object.keys).sort(),
  );
});

test("broker/package.json lists exactly what the broker imports", () => {
  const { dependencies = {}, optionalDependencies = {} } = declared("broker/package.json");
  const names = Object.keys({ ...dependencies, ...optionalDependencies });
  assert.deepEqual(imported(listFiles(["broker/src"], ".ts")), names.sort());
});

test("devDependencies are what tests, benches, scripts and tools use", () => {
  const files = [
    ...listFiles(["test", "bench"], ".ts"),
    ...listFiles(["scripts"], ".mjs"),
    "eslint.config.js",
  ];
  const runtime = [root.dependencies ?? {}, root.optionalDependencies ?? {}].flatMap(Object.keys);
  const used = imported(files).filter((name) => !runtime.includes(name) && name !== "fedspine");
  const expected = [...new Set([...used, ...tools])].sort();
  assert.deepEqual(Object.keys(root.devDependencies ?? {}).sort(), expected);
});
