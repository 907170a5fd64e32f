/** `train` as a process against PEFT's own training curves of the tiny models. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertAllClose } from "../support/all-close.ts";
import { fedspineJson } from "../support/command.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { tinyFolder, tinyReference } from "../support/tiny-model.ts";

/** Class names in the order of the model's logits. */
const LABELS = ["cold", "hot", "wet"];

for (const [name, task, targets] of [
  ["bert-classify", "classify", "query,value"],
  ["llama-tied", "lm", "q_proj,v_proj,down_proj"],
] as const) {
  test(`train follows PEFT's curve of ${name} from PEFT's own adapter`, async (context) => {
    const folder = temporaryFolder(context);
    const { rows: ids, labels, lora } = tinyReference(name);
    assert.ok(lora);
    const [path, log] = [join(folder, "rows.jsonl"), join(folder, "steps.jsonl")];
    const lines = lora.batches.flat().map((i) => {
      const label = task === "classify" ? { label: LABELS[labels[i] as number] } : {};
      return `${JSON.stringify({ input_ids: ids[i], ...label })}\n`;
    });
    writeFileSync(path, lines.join(""));
    const model = tinyFolder(name);
    await fedspineJson([
      ...["train", "--model", model, "--data", path, "--task", task, "--targets", targets],
      ...["--rank", String(lora.rank), "--alpha", String(lora.alpha)],
      ...["--init-adapter", join(model, "adapter"), "--steps", String(lora.losses.length)],
      ...["--batch-size", "2", "--lr", String(lora.rate), "--schedule", "constant"],
      ...["--clip", "off", "--weight-decay", String(lora.weight_decay), "--shuffle", "off"],
      ...["--log", log],
    ]);
    const losses = readFileSync(log, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { loss: number }).loss);
    assertAllClose(losses, lora.losses, 1e-4, "losses");
  });
}
