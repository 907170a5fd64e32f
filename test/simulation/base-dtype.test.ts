/** A simulated fleet that holds its base in few bits. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/base/errors.ts";
import { SmallSimulation } from "../support/small-simulation.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("devices and the scoring of a simulation hold the base as its settings say", async (t) => {
  const lossOf = async (settings: object): Promise<number | null | undefined> => {
    const { summary } = await new SmallSimulation(temporaryFolder(t), settings).run("run");
    assert.equal(summary.ok, true);
    return summary.after?.loss;
  };
  const [exact, held] = [await lossOf({}), await lossOf({ baseDtype: "int4" })];
  assert.notEqual(held, exact);
});

test("a run whose devices fold adapters into the base is refused one in few bits", async (t) => {
  const settings = { baseDtype: "int8", coordinator: { aggregation: { kind: "flora" } } } as const;
  const simulation = new SmallSimulation(temporaryFolder(t), settings);
  await assert.rejects(
    simulation.run("run"),
    (error) => error instanceof ConfigError && /baseDtype.*expected f32/s.test(error.message),
  );
});
