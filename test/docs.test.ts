/** The documents keep up with the code: links, commands, options, settings and exit codes in them exist. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { test } from "node:test";
import type { Command } from "commander";
import { ExitCode } from "../src/base/errors.ts";
import { parseCoordinatorConfig } from "../src/coordinator/config.ts";
import { parseDeviceConfig } from "../src/device/config.ts";
import { controllers } from "../src/strategies/controllers/index.ts";
import { listFiles, projectRoot, readSource } from "./support/sources.ts";

const documents = [
  ...[
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "GLOSSARY.md",
    "CHANGELOG.md",
    "SECURITY.md",
  ],
  ...listFiles(["docs", "broker", "bench", "models"], ".md"),
];

interface PackageFile {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const root = JSON.parse(readSource("package.json")) as PackageFile;

/** Fenced code of one language, without line continuations. */
function codeBlocks(text: string, language: string): string[] {
  const fences = text.matchAll(/^```(\w*)\n(.*?)^```$/gms);
  return [...fences].flatMap(([, name, code = ""]) =>
    name === language ? [code.replaceAll("\\\n", " ")] : [],
  );
}

test("links between the documents lead somewhere", () => {
  for (const path of documents) {
    for (const [, link = ""] of readSource(path).matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (/^https?:/.test(link)) continue;
      const target = posix.join(posix.dirname(path), link);
      assert.ok(existsSync(join(projectRoot, target)), `${path}: ${link}`);
    }
  }
});

test("files and folders that the documents name exist", () => {
  const named = /`((?:src|assembly|broker|bench|test|tools|scripts|docs|models)\/[\w./-]*)`/g;
  for (const path of documents) {
    for (const [, name = ""] of readSource(path).matchAll(named)) {
      const places = [join(projectRoot, name), join(projectRoot, posix.dirname(path), name)];
      assert.ok(places.some(existsSync), `${path}: ${name}`);
    }
  }
});

test("npm scripts that the documents name exist", () => {
  for (const path of documents) {
    for (const [, script = ""] of readSource(path).matchAll(/npm run ([\w:]+)/g)) {
      assert.ok(script in root.scripts, `${path}: npm run ${script}`);
    }
  }
});

test("commands in the documents have the options that they are shown with", async () => {
  let count = 0;
  for (const path of documents) {
    const lines = codeBlocks(readSource(path), "sh").flatMap((code) => code.split(/\n|&&/));
    for (const line of lines) {
      const shown =
        /npx fedspine (\w+)(.*)/.exec(line) ??
        /npm run (demo) --(.*)/.exec(line.split("#")[0] ?? "");
      if (shown === null) continue;
      const [, name = "", rest = ""] = shown;
      const { command } = (await import(`../src/cli/commands/${name}.js`)) as {
        command: () => Command;
      };
      const known = command().options.map(({ long }) => long);
      for (const [flag] of rest.split("#")[0]?.matchAll(/(?<=\s)--[\w-]+/g) ?? []) {
        assert.ok(known.includes(flag), `${path}: fedspine ${name} ${flag}`);
        count++;
      }
    }
  }
  assert.ok(count > 20, `only ${count} options were found`);
});

test("the configurations in the README are valid", () => {
  const [coordinator = "", device = ""] = codeBlocks(readSource("README.md"), "json");
  assert.equal(parseCoordinatorConfig(JSON.parse(coordinator)).fleet, "plant-7");
  assert.equal(parseDeviceConfig(JSON.parse(device)).fleet, "plant-7");
});

/** Keys that a parser names when it meets one that it does not know. */
function knownKeys(parse: () => unknown): string[] {
  try {
    parse();
  } catch (error) {
    const [, names = ""] = /known keys: (.*)/.exec(String(error)) ?? [];
    return names.split(", ");
  }
  assert.fail("the settings were taken");
}

test("docs/configuration.md names every setting", () => {
  const odd = { "?": 1 };
  const parts = [odd, { plan: odd }, { pruning: { final: 0.5, ...odd } }, { selfPruning: odd }];
  const keys = [
    ...parts.flatMap((part) =>
      knownKeys(() => parseCoordinatorConfig({ base: "x", labels: ["a"], ...part })),
    ),
    ...knownKeys(() => parseDeviceConfig({ data: "x", ...odd })),
  ];
  assert.ok(keys.length > 60, `only ${keys.length} settings were found`);
  const text = readSource("docs/configuration.md");
  for (const key of keys) {
    const isNamed = text.includes(`| \`${key}\``) || text.includes(`\`${key}\` (`);
    assert.ok(isNamed, key);
  }
  for (const kind of Object.keys(controllers)) assert.ok(text.includes(`| \`${kind}\``), kind);
});

test("the README lists every exit code", () => {
  const section = readSource("README.md").split("## Exit codes")[1]?.split("\n## ")[0] ?? "";
  const codes = [...section.matchAll(/^\| (\d+) +\|/gm)].map(([, code]) => Number(code));
  assert.deepEqual(codes, Object.values(ExitCode));
});

test("CONTRIBUTING gives a reason for every dependency", () => {
  const broker = JSON.parse(readSource("broker/package.json")) as Partial<PackageFile>;
  const names = [root.dependencies, root.devDependencies, broker.dependencies ?? {}]
    .flatMap(Object.keys)
    .map((name) => (name.startsWith("@types/") ? "@types/*" : name));
  const section = readSource("CONTRIBUTING.md").split("## Dependencies")[1] ?? "";
  for (const name of names) assert.ok(section.includes(`\`${name}\``), name);
});
