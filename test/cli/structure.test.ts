/** `--structure` as a user gives it: references' pruned curves, adapters that bring their structure, mistakes. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ExitCode } from "../../src/base/errors.ts";
import { assertAllClose } from "../support/all-close.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { goldenTrajectories } from "../support/golden-trajectory.ts";
import { must } from "../support/must.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel } from "../support/tiny-model.ts";

for (const { family, folder, init, skip, read } of goldenTrajectories) {
  test(
    `train follows the reference's pruned ${family} curve step by step`,
    { skip },
    async (context) => {
      const { sequences, structure, pruned } = read();
      const scratch = temporaryFolder(context);
      const [data, log] = [join(scratch, "rows.jsonl"), join(scratch, "steps.jsonl")];
      const units = join(scratch, "units.json");
      writeFileSync(units, JSON.stringify(structure));
      const rows = sequences.map(({ ids, label }) => JSON.stringify({ input_ids: ids, label }));
      writeFileSync(data, rows.map((row) => `${row}\n`).join(""));
      const out = join(scratch, "adapter");
      await fedspineJson([
        ...["train", "--model", folder, "--data", data, "--structure", units, "--rank", "4"],
        ...[
          "--task",
          family === "bert" ? "classify" : "lm",
          "--alpha",
          "8",
          "--init-adapter",
          init,
        ],
        ...["--train-head", "off", "--steps", "12", "--batch-size", "1", "--lr", "0.005"],
        ...["--schedule", "constant", "--clip", "off", "--weight-decay", "0.01"],
        ...["--shuffle", "off", "--log", log, "--out", out],
      ]);
      const losses = readFileSync(log, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => (JSON.parse(line) as { loss: number }).loss);
      assertAllClose(losses, pruned.losses, 1e-3, "losses", 1);
      const forward = async (i: number, ...args: string[]): Promise<number[]> => {
        const ids = must(sequences[i]).ids.join(",");
        const given = ["forward", "--model", folder, "--ids", ids, ...args];
        const [record] = (await fedspineJson(given)) as { logits: number[] }[];
        return must(record).logits.slice(-8);
      };
      const plain = must(pruned.last8_logits_without_lora[1]);
      assertAllClose(await forward(1, "--structure", units), plain, 1e-4, "logits", 10);
      // The trained adapter brings its structure.
      const trained = must(pruned.final_last8_logits[1]);
      assertAllClose(await forward(1, "--adapter", out), trained, 1e-3, "trained logits", 1);
    },
  );
}

let shared = "";
let base = "";
let data = "";
let units = "";
let adapter = "";

before(async () => {
  shared = mkdtempSync(join(tmpdir(), "fedspine-test-"));
  base = copyTinyModel("bert-classify", join(shared, "base"), { tokenizer: "encoder" });
  data = join(shared, "data.csv");
  const rows = ["pump", "fan", "door", "room"].flatMap((thing) =>
    ["hot", "cold", "wet"].map((state) => `the ${thing} is ${state},${state}\n`),
  );
  writeFileSync(data, `text,label\n${rows.join("")}`);
  units = writeUnits("units.json", [
    { heads: [1], ffn: [0, 7] },
    { heads: [0, 3], ffn: [5] },
  ]);
  adapter = join(shared, "adapter");
  await fedspineJson([...train(), "--structure", units, "--steps", "30", "--out", adapter]);
});

after(() => {
  rmSync(shared, { recursive: true, force: true });
});

function writeUnits(name: string, layers: readonly object[]): string {
  const path = join(shared, name);
  writeFileSync(path, JSON.stringify({ layers }));
  return path;
}

function train(): string[] {
  const common = ["--model", base, "--data", data, "--batch-size", "6", "--lr", "0.05"];
  return ["train", ...common, "--rank", "2", "--targets", "all-linear"];
}

test("a pruned model's adapter folder brings its structure to eval and classify", async () => {
  assert.deepEqual(
    JSON.parse(readFileSync(join(adapter, "structure.json"), "utf8")),
    JSON.parse(readFileSync(units, "utf8")),
  );
  const evaluate = ["eval", "--model", base, "--data", data, "--kernels", "simd"];
  const classify = ["classify", "--model", base, "--kernels", "simd", "the door is wet"];
  const [own, same, cut, text, sameText] = await Promise.all([
    fedspineJson([...evaluate, "--adapter", adapter]),
    fedspineJson([...evaluate, "--adapter", adapter, "--structure", units]),
    fedspineJson([...evaluate, "--structure", units]),
    fedspineJson([...classify, "--adapter", adapter]),
    fedspineJson([...classify, "--adapter", adapter, "--structure", units]),
  ]);
  assert.deepEqual(same, own);
  assert.deepEqual(sameText, text);
  const loss = (records: unknown[]): number => (records[0] as { loss: number }).loss;
  assert.ok(loss(own) < loss(cut), `${loss(own)} after training, ${loss(cut)} before`);
});

test("training goes on from a pruned adapter, whose structure is written again", async (context) => {
  const out = join(temporaryFolder(context), "next");
  const [summary] = (await fedspineJson([
    ...[...train(), "--init-adapter", adapter, "--steps", "2", "--out", out],
  ])) as { steps: number }[];
  assert.equal(summary?.steps, 2);
  assert.equal(
    readFileSync(join(out, "structure.json"), "utf8"),
    readFileSync(join(adapter, "structure.json"), "utf8"),
  );
  await fedspineJson([...train(), "--steps", "1", "--out", out]);
  assert.ok(!existsSync(join(out, "structure.json")));
});

test("generate takes a structure, and the text differs from the whole model's", async (context) => {
  const folder = copyTinyModel("llama-tied", temporaryFolder(context), {
    tokenizer: "causal",
    config: { bos_token_id: 2 },
  });
  const layer = { heads: [1], ffn: [3, 4, 5] };
  const file = writeUnits("causal.json", [layer, layer]);
  const args = ["generate", "--model", folder, "--prompt", "the pump", "--kernels", "simd"];
  const ids = async (...more: string[]): Promise<number[]> => {
    const [record] = (await fedspineJson([...args, "--max-tokens", "8", ...more])) as {
      ids: number[];
    }[];
    return must(record).ids;
  };
  assert.notDeepEqual(await ids("--structure", file), await ids());
});

test("mistakes in a structure are named with file, layer, expected and got", async () => {
  const layer = { heads: [0], ffn: [0] };
  const cases: [layers: readonly object[], status: number, message: RegExp, more?: string[]][] = [
    [[layer], ExitCode.usage, /bad\.json: layers: expected 2, got 1/],
    [
      [layer, { heads: [4], ffn: [0] }],
      ExitCode.usage,
      /layer 1, heads: expected .* below 4, .*got 4/,
    ],
    [[layer, { heads: [0], ffn: [] }], ExitCode.usage, /layer 1, ffn: .*got none/],
    [[layer, { heads: [0] }], ExitCode.usage, /layers\.1\.ffn is missing/],
    [
      [layer, layer],
      ExitCode.data,
      /another structure: expected layer 0 with heads 0 and channels 0, got layer 0 with heads 1 and channels 0, 7, by .*structure\.json/,
      ["--adapter", adapter],
    ],
  ];
  for (const [layers, status, message, more = []] of cases) {
    const bad = writeUnits("bad.json", layers);
    const args = ["forward", "--model", base, "--ids", "1,2", "--structure", bad, ...more];
    const finished = await fedspine(args);
    assert.equal(finished.status, status, finished.stderr);
    assert.match(finished.stderr, message);
  }
});

test("a continuation needs the structure that its run had", async (context) => {
  const out = join(temporaryFolder(context), "run");
  const run = [...train(), "--steps", "4", "--out", out, "--checkpoint-every", "2"];
  await fedspineJson([...run, "--structure", units]);
  const { status, stderr } = await fedspine([...run, "--resume"]);
  assert.equal(status, ExitCode.data);
  assert.match(stderr, /made with another structure: expected ".*units\.json", got null/);
});
