/** Time and memory of pruned models, measured small: what must hold on any machine. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { measureModel } from "../../../bench/reproduce/measure.ts";

const folder = fileURLToPath(new URL("../../../../models/base-encoder", import.meta.url));

test("a pruned model is measured beside the unpruned one and holds less in its engine", () => {
  const [whole, pruned, ...rest] = measureModel({
    ...{ name: "base", folder, isPaperSized: false, sparsities: [0.5] },
    ...{ batchSize: 2, numTokens: 8, repeats: 1 },
  });
  assert.equal(rest.length, 0);
  assert.deepEqual(
    [whole?.sparsity, whole?.inferenceShare, whole?.memoryShare, whole?.engineShare],
    [0, 1, 1, 1],
  );
  assert.ok(pruned !== undefined && pruned.inferenceMs > 0);
  assert.ok(pruned.engineShare < 0.9, String(pruned.engineShare));
  // Resident memory holds the engine's and what Node needs beside it.
  assert.ok(pruned.residentBytes > pruned.engineBytes);
});
