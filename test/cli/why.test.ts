/** `fedspine why`: the table and the JSON of a run that has ended. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fedspine } from "../support/command.ts";
import { Fleet } from "../support/fleet.ts";

test("why shows each round of a device and what its controller knows, as tables and as JSON", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({
    rounds: 3,
    pruning: { final: 0.4 },
    controller: { kind: "random" },
    ranks: [1, 3],
  });
  for (const id of ["a", "b"]) fleet.device(id);
  assert.equal((await fleet.end(coordinator)).ok, true);
  const text = await fedspine(["why", fleet.runFolder, "a"]);
  assert.equal(text.status, 0, text.stderr);
  assert.match(text.stdout, /a, controller random/);
  assert.match(text.stdout, /│ 3 +│ 0\.455 +│ 0\.400 +│ 0\.455 +│ 0\.455/);
  assert.match(text.stdout, /Feasible set/);
  const json = await fedspine(["why", fleet.runFolder, "a", "--json"]);
  const record = JSON.parse(json.stdout) as { device: string; rounds: unknown[] };
  assert.deepEqual([record.device, record.rounds.length], ["a", 3]);
  const unknown = await fedspine(["why", fleet.runFolder, "z"]);
  assert.equal(unknown.status, 65);
  assert.match(unknown.stderr, /nothing was ever decided about z: expected a, b/);
});
