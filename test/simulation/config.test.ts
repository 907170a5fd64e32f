/** Settings of simulations: mistakes are named, and the examples in the repository are good. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { builtInFleet, parseSimulationConfig } from "../../src/simulation/config.ts";
import { parseFleetProfile } from "../../src/simulation/fleet-schema.ts";
import { listFiles, projectRoot } from "../support/sources.ts";

test("unknown keys are errors that name the nearest known one", () => {
  assert.throws(() => parseSimulationConfig({ fleet: {}, sead: 1 }), /unknown key sead.*\n.*seed/);
  assert.throws(
    () => parseSimulationConfig({ fleet: { device: 5 } }),
    /unknown key fleet.device.*\n.*devices/,
  );
});

test("what follows from the simulation itself cannot be set for the coordinator", () => {
  for (const key of ["seed", "labels", "selection", "broker", "runFolder", "base", "fleet"]) {
    assert.throws(
      () => parseSimulationConfig({ fleet: {}, coordinator: { [key]: 1 } }),
      new RegExp(`coordinator.${key} cannot be set`),
    );
  }
});

test("an unknown fleet is refused with the names of those there are", () => {
  assert.throws(() => builtInFleet("toString"), /gateways/);
});

test("every example parses, its coordinator and its fleet included", () => {
  const examples = listFiles(["examples/simulations"], ".yaml");
  assert.ok(examples.length >= 4);
  for (const path of examples) {
    const content = parse(readFileSync(join(projectRoot, path), "utf8")) as unknown;
    if (path.includes("/profiles/")) {
      parseFleetProfile(path, content);
      continue;
    }
    const { coordinator } = parseSimulationConfig(content);
    parseCoordinatorConfig({ ...coordinator, base: "base", labels: ["a", "b"] });
  }
});
