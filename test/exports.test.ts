/** What package.json promises to outsiders: entry points that exist and public names that work. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as fedspine from "fedspine";
import { fixture } from "./support/fixtures.ts";
import { listFiles, projectRoot, readSource } from "./support/sources.ts";

interface PackageFile {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly files?: readonly string[];
}

function packageFile(path: string): PackageFile {
  return JSON.parse(readSource(path)) as PackageFile;
}

test("every entry point of package.json is a built file", () => {
  for (const [name, conditions] of Object.entries(packageFile("package.json").exports)) {
    for (const [condition, path] of Object.entries(conditions)) {
      assert.ok(existsSync(join(projectRoot, path)), `exports["${name}"].${condition}: ${path}`);
    }
  }
});

test("every command of the packages is a program", () => {
  for (const folder of ["", "broker/"]) {
    for (const [name, path] of Object.entries(packageFile(`${folder}package.json`).bin)) {
      assert.match(readSource(join(folder, path)), /^#!(\/usr\/bin\/env node|\/bin\/sh)\n/, `${name}: ${path}`);
    }
  }
});

test("src/index.ts re-exports by name and does nothing else", () => {
  const statements = readSource("src/index.ts")
    .replace(/\/\*\*.*?\*\/|\/\/.*$/gms, "")
    .split(";")
    .map((statement) => statement.trim())
    .filter((statement) => statement !== "");
  for (const statement of statements) {
    assert.match(statement, /^export \{[^}]+\} from "\.\/[a-z/-]+\.ts"$/);
  }
});

test("no index but autograd's and the public one passes names on", () => {
  const barrels = listFiles(["src"], "index.ts").filter((path) =>
    /^export\b[^;]*\bfrom\b/m.test(readSource(path)),
  );
  assert.deepEqual(barrels.sort(), ["src/autograd/index.ts", "src/index.ts"]);
});

test("a program that knows only the package fine-tunes a model", () => {
  const engine = fedspine.Engine.create();
  const model = fedspine.loadModel(engine, fixture("tiny", "bert-classify"));
  const adapted = fedspine.AdaptedModel.attach(model, {
    lora: { ...fedspine.LORA_DEFAULTS, rank: 2, targets: ["query", "value"] },
    trainHead: true,
    seed: 1,
  });
  const sequences: fedspine.Sequence[] = [
    { ids: [2, 7, 9, 3], label: 0 },
    { ids: [2, 8, 3], label: 1 },
  ];
  const tuner = new fedspine.FineTuner(model, adapted.parameters(), sequences, {
    ...fedspine.FINE_TUNE_DEFAULTS,
    steps: 40,
    peakRate: 0.02,
  });
  const losses: number[] = [];
  while (!tuner.isDone) losses.push(tuner.step().loss);
  const [first = 0, last = 0] = [losses[0], losses.at(-1)];
  assert.ok(last < first / 2, `loss went from ${first} to ${last}`);
});
