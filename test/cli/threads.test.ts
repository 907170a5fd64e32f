/** `--threads` as a user gives it: the same adapter and scores for any number, and what is told of it. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ExitCode } from "../../src/base/errors.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { projectRoot } from "../support/sources.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel } from "../support/tiny-model.ts";

const model = join(projectRoot, "models", "base-encoder");

test("train and eval give the same on one thread and on several", async (t) => {
  const folder = temporaryFolder(t);
  const data = join(folder, "data.csv");
  const rows = Array.from({ length: 24 }, (_, i) => {
    const words = Array.from({ length: 20 }, (_, k) => `sensor ${(i * 7 + k) % 31}`);
    return `${words.join(" ")},${i % 2 === 0 ? "odd" : "even"}`;
  });
  writeFileSync(data, `text,label\n${rows.join("\n")}\n`);
  const runs = await Promise.all(
    ["1", "3"].map(async (threads) => {
      const out = join(folder, threads);
      const common = ["--model", model, "--data", data, "--batch-size", "8", "--threads", threads];
      const trained = await fedspineJson([
        ...["train", ...common, "--steps", "3", "--dropout", "0.1", "--out", out],
      ]);
      const scored = await fedspineJson(["eval", ...common, "--adapter", out, "--kernels", "simd"]);
      return {
        threads: (trained[0] as { threads: number }).threads,
        adapter: readFileSync(join(out, "adapter_model.safetensors")),
        scores: scored[0],
      };
    }),
  );
  const [alone, several] = runs;
  assert.deepEqual([alone?.threads, several?.threads], [1, 3]);
  assert.deepEqual(several?.adapter, alone?.adapter);
  assert.deepEqual(several?.scores, alone?.scores);
});

test("bench measures on as many threads as it is told, and says so in the profile of a board", async () => {
  const common = ["bench", "--seconds", "0.01", "--profile"];
  const [record] = await fedspineJson([...common, "--threads", "2"]);
  const { board, steps } = record as { board: { source: string }; steps: { threads: number }[] };
  assert.match(board.source, /simd kernels, 2 threads$/);
  assert.deepEqual([...new Set(steps.map(({ threads }) => threads))], [2]);
});

test("threads that cannot be had are told of", async (t) => {
  const folder = temporaryFolder(t);
  const base = copyTinyModel("bert-classify", join(folder, "base"), { tokenizer: "encoder" });
  const data = join(folder, "data.csv");
  writeFileSync(data, "text,label\nthe pump is hot,hot\n");
  const choices = ["--kernels", "reference", "--threads", "2"];
  const { status, stderr } = await fedspine(["eval", "--model", base, "--data", data, ...choices]);
  assert.equal(status, ExitCode.ok, stderr);
  assert.match(stderr, /on one thread \(the reference kernels have no threads\)/);
});

test("a number of threads that is none is a usage error", async () => {
  const { status, stderr } = await fedspine(["bench", "--threads", "none"]);
  assert.equal(status, ExitCode.usage);
  assert.match(stderr, /expected a whole number from 1, got none/);
});
