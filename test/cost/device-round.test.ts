/** The peak that a device reports after a round of pruning, scoring and training against the counted one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { costOf } from "../../src/cost/approximate.ts";
import { scoreNames } from "../../src/protocol/messages.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { examples, PLAN, PRUNING, round, tinyBase, tinyDevice } from "../support/tiny-device.ts";

for (const score of scoreNames) {
  test(`a round with ${score} scores takes the counted memory and sends the counted bytes`, async (t) => {
    const folder = tinyBase(t);
    const device = await tinyDevice(folder);
    const encode = loadTokenizer(folder);
    const lengths = examples(40).map(
      ({ text }) => encode.encode(text, { maxTokens: PLAN.maxTokens }).ids.length,
    );
    for (const sparsity of [0, 0.3]) {
      for (const dropout of [0, 0.1]) {
        const plan = { ...PLAN, dropout, batchSize: 8, pruning: { ...PRUNING, sparsity, score } };
        const { update, report, structure } = await round(device, plan);
        const { rank, targets, batchSize, trainHead } = plan;
        const { memoryBytes, bytesUp } = costOf(device.shape, {
          ...{ structure, rank, targets, batchSize, trainHead, dropout },
          ...{ numTokens: Math.max(...lengths), scoresUnits: true, sendsMeanScores: false },
        });
        const ratio = memoryBytes / report.peakBytes;
        assert.ok(ratio > 0.98 && ratio < 1.15, `sparsity ${sparsity}: ${ratio}`);
        assert.ok(Math.abs(bytesUp - update.length) <= 32, `${bytesUp}, really ${update.length}`);
      }
    }
  });
}
