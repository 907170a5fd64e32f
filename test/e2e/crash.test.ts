/** Kill -9 of coordinator, broker and devices at seeded moments: the run ends as if nobody had died. `npm run bench:crash` does more of it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { crashRun, differences } from "../support/crash-run.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const SIZE = { devices: ["a", "b"], rounds: 2 };

test("whoever is killed whenever, every update counts once and the last adapter has the same bits", async (t) => {
  const folder = temporaryFolder(t);
  const [calm, ...disturbed] = await Promise.all(
    [null, 1, 2].map((seed) => {
      return crashRun({ ...SIZE, seed, folder: join(folder, `seed-${seed}`), numKills: 3 });
    }),
  );
  assert.ok(calm);
  assert.deepEqual(calm.problems, []);
  for (const run of disturbed) {
    assert.deepEqual(differences(calm, run), [], `seed ${run.seed}: ${JSON.stringify(run.kills)}`);
  }
});
