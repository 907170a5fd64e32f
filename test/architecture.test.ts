/** Who may import whom: rings that only look inward, and third-party names in the files that own them. */
import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";
import { importsOf, listFiles, packageOf, readSource } from "./support/sources.ts";

/** From the inside out: a ring may import itself and what it lists. ARCHITECTURE.md shows the same table. */
const rings: Readonly<Record<string, readonly string[]>> = {
  base: [],
  backend: ["base"],
  tensor: ["base", "backend"],
  autograd: ["base", "backend", "tensor"],
  nn: ["base", "tensor", "autograd"],
  lora: ["base", "tensor", "autograd", "nn"],
  io: ["base"],
  text: ["base"],
  data: ["base", "text"],
  "demo-data": ["base", "data"],
  models: ["base", "tensor", "autograd", "nn", "io"],
  train: ["base", "backend", "tensor", "autograd", "nn", "lora", "io", "data", "models"],
  pretrain: ["base", "tensor", "autograd", "nn", "io", "text", "data", "models", "train"],
  protocol: ["base"],
  transport: ["base"],
  security: ["base", "io", "protocol", "transport"],
  strategies: ["base"],
  cost: ["base"],
  pruning: ["base", "backend", "tensor", "autograd", "nn", "lora", "models", "cost"],
  transfer: ["base", "protocol", "transport"],
  coordinator: [
    ...["base", "io", "protocol", "transport", "security", "strategies", "cost", "transfer"],
  ],
  // The device runs alone: it never meets coordinator or strategies but in protocol.
  device: [
    ...["base", "backend", "tensor", "autograd", "nn", "lora", "io", "text", "data", "models"],
    ...["train", "protocol", "transport", "security", "cost", "pruning", "transfer"],
  ],
  // A whole fleet in one process: the only ring that sees both ends, and the engine in its workers.
  simulation: [
    ...["base", "tensor", "io", "text", "data", "demo-data", "models", "train", "protocol"],
    ...["transport", "strategies", "cost", "pruning", "transfer", "coordinator", "device"],
  ],
  report: ["base", "io"],
};

/** Rings that compute and nothing else: not even a built-in module of Node. */
const pureRings = ["tensor", "autograd", "nn", "lora", "strategies"];

/** State machines decide and never act: of the built-in modules they may use digests. */
const pureFiles = ["src/coordinator/round-machine.ts", "src/device/agent-machine.ts"];

/** Third-party names and where in src/ they are imported: files, or folders that end in a slash. */
const thirdParty: Readonly<Record<string, readonly string[]>> = {
  "@assemblyscript/loader": ["src/backend/wasm.ts"],
  "@huggingface/tokenizers": ["src/text/tokenizer.ts"],
  "@peculiar/asn1-schema": ["src/security/certificates.ts"],
  "@peculiar/asn1-x509": ["src/security/certificates.ts"],
  "cli-progress": ["src/cli/progress.ts"],
  "cli-table3": ["src/cli/"],
  commander: ["src/cli/"],
  consola: ["src/cli/process-log.ts"],
  "csv-parse": ["src/data/table.ts"],
  echarts: ["src/report/chart.ts"],
  "ml-matrix": ["src/strategies/aggregation/low-rank.ts", "src/pretrain/svd-start.ts"],
  mqtt: ["src/transport/mqtt.ts", "src/transport/bare-client.ts"],
  yaml: ["src/cli/"],
  // Schemas stand where something enters: settings, files and messages.
  valibot: [
    ...["src/base/settings.ts", "src/io/", "src/protocol/", "src/data/jsonl.ts"],
    ...["src/train/checkpoint.ts", "src/pretrain/corpus.ts", "src/coordinator/", "src/device/"],
    ...["src/security/", "src/simulation/", "src/report/run-record.ts", "src/cli/"],
  ],
};

/** What is wrong with one file's imports, as sentences; nothing when all is well. */
function violations(path: string, text: string): string[] {
  return importsOf(path, text).flatMap(({ specifier, target }) => {
    const complaint =
      target === undefined ? packageComplaint(path, specifier) : fileComplaint(path, target);
    return complaint === undefined ? [] : [`${path} imports ${specifier}: ${complaint}`];
  });
}

function fileComplaint(path: string, target: string): string | undefined {
  const [top, from = ""] = path.split("/");
  if (top !== "src") return isBelow(target, "broker/") ? undefined : "broker/ is on its own";
  if (target.startsWith("build/")) return from === "backend" ? undefined : "backend owns build/";
  const [targetTop, to = ""] = target.split("/");
  if (targetTop !== "src") return "src/ imports only src/";
  if (path === "src/index.ts") return undefined;
  if (isBarrel(target) && posix.dirname(target) !== posix.dirname(path)) {
    return "import from the file itself, not from an index";
  }
  if (from === to || from === "cli") return undefined;
  const allowed = rings[from];
  if (allowed === undefined) return `${from} is not in the table of rings`;
  return allowed.includes(to) ? undefined : `${from} may import ${allowed.join(", ") || "nothing"}`;
}

/** An index that passes on names of other files; one that holds a table of its own is an ordinary file. */
function isBarrel(path: string): boolean {
  return posix.basename(path) === "index.ts" && /^export\b[^;]*\bfrom\b/m.test(readSource(path));
}

function packageComplaint(path: string, specifier: string): string | undefined {
  const [top, ring = ""] = path.split("/");
  if (specifier.startsWith("node:")) {
    if (pureFiles.includes(path) && specifier !== "node:crypto")
      return "a state machine only decides";
    return pureRings.includes(ring) ? `${ring} only computes` : undefined;
  }
  if (top !== "src") return undefined;
  const places = thirdParty[packageOf(specifier)];
  if (places === undefined) return "not in the table of third-party names";
  return places.some((place) => isBelow(path, place)) ? undefined : `only in ${places.join(", ")}`;
}

function isBelow(path: string, place: string): boolean {
  return place.endsWith("/") ? path.startsWith(place) : path === place;
}

const sources = listFiles(["src", "broker/src"], ".ts");

test("every import of src/ and broker/ follows the tables", () => {
  assert.deepEqual(
    sources.flatMap((path) => violations(path, readSource(path))),
    [],
  );
});

test("the table of rings points inward and covers every folder of src/", () => {
  const seen: string[] = [];
  for (const [ring, allowed] of Object.entries(rings)) {
    for (const inner of allowed) assert.ok(seen.includes(inner), `${ring} lists ${inner} above it`);
    seen.push(ring);
  }
  const folders = new Set(
    sources
      .map((path) => path.split("/"))
      .flatMap(([top, ring, file]) =>
        top === "src" && ring !== undefined && file !== undefined ? [ring] : [],
      ),
  );
  assert.deepEqual([...folders].sort(), [...seen, "cli"].sort());
});

test("every place in the table of third-party names is one", () => {
  for (const [name, places] of Object.entries(thirdParty)) {
    for (const place of places) {
      const users = sources.filter(
        (path) =>
          isBelow(path, place) &&
          importsOf(path, readSource(path)).some(({ specifier }) => packageOf(specifier) === name),
      );
      assert.ok(users.length > 0, `${place} does not import ${name}`);
    }
  }
});

test("kernels import kernels only", () => {
  for (const path of listFiles(["assembly"], ".ts")) {
    for (const { specifier } of importsOf(path, readSource(path))) {
      assert.match(specifier, /^\.\/[a-z0-9-]+$/, `${path} imports ${specifier}`);
    }
  }
});

test("ARCHITECTURE.md shows the same table of rings", () => {
  const shown = readSource("ARCHITECTURE.md")
    .split("\n")
    .flatMap((line) => {
      const cells = /^\| `([a-z-]+)` +\| ([^|]+?) +\|/.exec(line);
      return cells === null ? [] : [[cells[1], cells[2]]];
    });
  const expected = Object.entries(rings).map(([ring, allowed]) => [
    ring,
    allowed.join(", ") || "nothing",
  ]);
  assert.deepEqual(shown, expected);
});

test("planted violations are found", () => {
  const planted: [path: string, text: string, complaint: RegExp][] = [
    [
      "src/coordinator/x.ts",
      `import { Tensor } from "../tensor/tensor.ts";`,
      /may import base, io/,
    ],
    ["src/device/x.ts", `import type { A } from "../coordinator/roster.ts";`, /device may import/],
    ["src/base/x.ts", `export { note } from "../cli/output.ts";`, /base may import nothing/],
    ["src/nn/x.ts", `const lazy = () => import("../models/bert.ts");`, /nn may import/],
    ["src/models/x.ts", `import { add } from "../autograd/index.ts";`, /not from an index/],
    ["src/data/x.ts", `import { connect } from "mqtt";`, /only in src\/transport\/mqtt.ts/],
    ["src/io/x.ts", `import lodash from "lodash/fp";`, /not in the table of third-party/],
    ["src/strategies/x.ts", `import { readFileSync } from "node:fs";`, /only computes/],
    ["src/device/agent-machine.ts", `import "node:timers";`, /only decides/],
    ["src/tensor/x.ts", `import bytes from "../../build/kernels.simd.js";`, /backend owns build/],
    ["src/new-ring/x.ts", `import "../base/rng.ts";`, /not in the table of rings/],
    ["src/io/x.ts", `import "../../broker/src/broker.ts";`, /src\/ imports only src/],
    ["broker/src/x.ts", `import { errors } from "../../src/base/errors.ts";`, /on its own/],
  ];
  for (const [path, text, complaint] of planted) {
    const found = violations(path, text);
    assert.equal(found.length, 1, `${path}: ${text}`);
    assert.match(found[0] ?? "", complaint);
  }
  const allowed = `// import "../cli/main.ts";\nimport { Rng } from "../base/rng.ts"; import "./y.ts";`;
  assert.deepEqual(violations("src/data/x.ts", allowed), []);
});
