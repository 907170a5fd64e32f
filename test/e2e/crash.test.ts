/** Kill -9 of coordinator, broker and devices at seeded moments: the run ends as if nobody had died. `npm run bench:crash` does more of it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { crashRun, differences } from "../support/crash-run.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SIZE = { devices: ["a", "b"], rounds: 2 };

test("whoever is killed whenever, every update counts once and the last adapter has the same bits", async (t) => {
  const folder = temporaryFolder(t);
  const [calm, ...disturbed] = await Promise.all([
    crashRun({ ...SIZE, seed: null, folder: join(folder, "calm"), numKills: 0 }),
    // The first update is on the disk and its device was not told; then the round is over and nothing was merged.
    crashRun({ ...SIZE, seed: 1, folder: join(folder, "writes"), numKills: 0, dieAt: [6, 1, -2] }),
    crashRun({ ...SIZE, seed: 6, folder: join(folder, "lots"), numKills: 3 }),
  ]);
  assert.deepEqual(calm.problems, []);
  for (const run of disturbed) {
    assert.deepEqual(differences(calm, run), [], `seed ${run.seed}: ${JSON.stringify(run.kills)}`);
  }
});
