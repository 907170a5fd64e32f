/** Published models and training curves through the command line alone. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertAllClose } from "../support/all-close.ts";
import { fedspineJson } from "../support/command.ts";
import { missing, sharedData } from "../support/shared-data.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const bertFolder = join(sharedData, "bert-tiny-sst2-encoder", "fixture-vocab48");
const llamaFolder = join(sharedData, "llama-stories260K");
const noBert = missing("bert-tiny-sst2-encoder/fixture-vocab48/reference.json");
const noLlama = missing("llama-stories260K/reference.json");

const readJson = (...path: string[]): unknown => JSON.parse(readFileSync(join(...path), "utf8"));

test("forward gives bert-tiny's reference logits", { skip: noBert }, async () => {
  const { cases } = readJson(bertFolder, "reference.json") as {
    cases: { input_ids: number[]; logits: number[] }[];
  };
  await Promise.all(
    cases.map(async ({ input_ids: ids, logits }, i) => {
      const args = ["forward", "--model", bertFolder, "--ids", ids.join(",")];
      const [record] = (await fedspineJson(args)) as { logits: number[] }[];
      assertAllClose(record?.logits ?? [], logits, 1e-4, `case ${i}`);
    }),
  );
});

test(
  "forward gives stories260K's reference logits from the text itself",
  { skip: noLlama },
  async () => {
    const { cases } = readJson(llamaFolder, "reference.json") as {
      cases: {
        text: string;
        input_ids: number[];
        logits_last: number[];
        mean_next_token_nll: number;
      }[];
    };
    await Promise.all(
      cases.map(async (want, i) => {
        const args = ["forward", "--model", llamaFolder, "--text", want.text];
        const [record] = (await fedspineJson(args)) as {
          input_ids: number[];
          logits: number[];
          loss: number;
        }[];
        assert.ok(record);
        assert.deepEqual(record.input_ids, want.input_ids);
        assertAllClose(record.logits, want.logits_last, 1e-4, `logits of case ${i}`);
        const nll = want.mean_next_token_nll;
        assertAllClose([record.loss], [nll], 1e-4, `loss of case ${i}`, Math.max(1, nll));
      }),
    );
  },
);

test(
  "generate tells the reference's story character for character",
  { skip: noLlama },
  async () => {
    const want = readJson(llamaFolder, "reference.json") as {
      greedy_text: string;
      greedy_ids_from_BOS: number[];
    };
    const maxTokens = String(want.greedy_ids_from_BOS.length - 1);
    await Promise.all(
      ["simd", "auto"].map(async (kernels) => {
        const args = [
          "generate",
          "--model",
          llamaFolder,
          "--prompt",
          "",
          "--max-tokens",
          maxTokens,
        ];
        const [record] = (await fedspineJson([...args, "--kernels", kernels])) as {
          text: string;
          prompt_ids: number[];
          ids: number[];
        }[];
        assert.equal(record?.text, want.greedy_text);
        assert.deepEqual([...record.prompt_ids, ...record.ids], want.greedy_ids_from_BOS);
      }),
    );
  },
);

const curves = [
  { family: "bert", task: "classify", folder: bertFolder },
  { family: "llama", task: "lm", folder: llamaFolder },
];
for (const { family, task, folder } of curves) {
  const files = ["trajectory.json", "lora_init.safetensors"].map((file) =>
    join("golden", family, file),
  );
  const skip = (family === "bert" ? noBert : noLlama) || missing(...files);

  test(`train follows the reference's ${family} curve step by step`, { skip }, async (context) => {
    const golden = join(sharedData, "golden", family);
    const want = readJson(golden, "trajectory.json") as {
      input_ids: number[][];
      labels: number[] | null;
      dense: { losses: number[] };
    };
    const scratch = temporaryFolder(context);
    const [data, log] = [join(scratch, "rows.jsonl"), join(scratch, "log", "steps.jsonl")];
    const rows = want.input_ids.map((ids, i) => ({
      input_ids: ids,
      ...(want.labels === null ? {} : { label: want.labels[i] }),
    }));
    writeFileSync(data, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const [summary] = (await fedspineJson([
      ...["train", "--model", folder, "--data", data, "--task", task, "--rank", "4"],
      ...["--alpha", "8", "--init-adapter", join(golden, "lora_init.safetensors")],
      ...["--train-head", "off", "--steps", "12", "--batch-size", "1", "--lr", "0.005"],
      ...["--schedule", "constant", "--clip", "off", "--weight-decay", "0.01"],
      ...["--shuffle", "off", "--log", log],
    ])) as { steps: number; loss: number }[];
    const losses = readFileSync(log, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { loss: number }).loss);
    assert.equal(losses.length, want.dense.losses.length);
    want.dense.losses.forEach((loss, step) => {
      assert.ok(Math.abs((losses[step] ?? NaN) - loss) < 1e-3, `step ${step}: ${losses[step]}`);
    });
    assert.deepEqual([summary?.steps, summary?.loss], [12, losses.at(-1)]);
  });
}
