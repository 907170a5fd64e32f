/** Two methods through the simulator, as small as it gets. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { cellKey, scales, USUAL_RATE } from "../../../bench/reproduce/cells.ts";
import { cellsInOrder, gridOf } from "../../../bench/reproduce/grid.ts";
import { runOne } from "../../../bench/reproduce/run-one.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const base = fileURLToPath(new URL("../../../../models/base-encoder", import.meta.url));
const scale = {
  ...scales.quick,
  ...{ devices: 4, perRound: 2, rounds: 3, steps: 2, batchSize: 4, maxTokens: 16 },
  ...{ trainExamples: 120, testExamples: 20, evaluateEvery: 1, evaluateDevices: 2 },
};

for (const id of ["fedspine", "fed-it"]) {
  test(`${id} runs in the simulator and leaves a curve and nothing else`, async (t) => {
    const workFolder = temporaryFolder(t);
    const cells = cellsInOrder(
      gridOf({ scale, datasets: ["demo"], seeds: [1], rateOf: () => USUAL_RATE }),
    );
    const cell = cells.find(({ label }) => label.includes(`/${id}/`));
    assert.ok(cell !== undefined);
    const rounds: number[] = [];
    const trace = await runOne(cell, {
      ...{ base, dataFolder: "", workFolder, numWorkers: 1 },
      onRound: (round) => void rounds.push(round),
      signal: new AbortController().signal,
    });
    assert.ok(trace.ok, trace.reason);
    assert.deepEqual(rounds, [1, 2, 3]);
    const [first, last] = [trace.points[0], trace.points.at(-1)];
    assert.equal(last?.round, 3);
    assert.ok(last.timeMs > 0 && last.bytes > 0 && last.gflop > 0);
    assert.equal(first?.round, 0);
    assert.equal(trace.sparsity > 0.3, id === "fedspine");
    assert.ok(!existsSync(join(workFolder, cellKey(cell))));
  });
}
