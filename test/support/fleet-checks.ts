/** What tests of whole runs look at: the events of a coordinator and the adapter that it saves. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { AdapterState } from "../../src/base/adapter.ts";
import { decodeAdapterFile } from "../../src/io/adapter-file.ts";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { planOf } from "../../src/coordinator/plan.ts";
import type { RunEvent } from "../../src/coordinator/run-events.ts";
import { loraStack } from "../../src/strategies/aggregation/lora-stack.ts";
import { LAYERS, denseProduct, moduleNamed, relativeDistance } from "./adapters.ts";
import { fakeUpdate } from "./fake-trainer.ts";
import type { Fleet, RunningCoordinator } from "./fleet.ts";

/** alpha / rank of the fleet's runs. */
const SCALE = 2;

/** True when an event of this kind and with these fields was told. */
export function seen(
  coordinator: RunningCoordinator,
  kind: RunEvent["kind"],
  part: Record<string, unknown> = {},
): boolean {
  return count(coordinator, kind, part) > 0;
}

/** How often. */
export function count(
  coordinator: RunningCoordinator,
  kind: RunEvent["kind"],
  part: Record<string, unknown> = {},
): number {
  const fits = (event: RunEvent): boolean =>
    event.kind === kind &&
    Object.entries(part).every(([key, value]) => (event as Record<string, unknown>)[key] === value);
  return coordinator.events.filter(fits).length;
}

/** What a run of `rounds` rounds has to end with when these devices took part in each. */
export function expectedAdapter(devices: Record<string, number>, rounds: number): AdapterState {
  const settings = {
    base: "x",
    labels: ["no", "yes"],
    rounds,
    plan: { rank: 3, alpha: 6, steps: 5, targets: "all-linear" },
  };
  const config = parseCoordinatorConfig(settings);
  const choice = { sparsity: 0, rank: 3 };
  let state: AdapterState | null = null;
  for (let round = 1; round <= rounds; round++) {
    const updates = Object.entries(devices).map(([deviceId, numSamples]) => {
      return {
        ...fakeUpdate(deviceId, planOf(config, round, choice), state),
        deviceId,
        numSamples,
      };
    });
    state = loraStack.aggregate(updates, { rank: 3, scale: SCALE }).state;
  }
  return state as AdapterState;
}

/** The adapter in the checkpoint of a round. */
export function savedAdapter(fleet: Fleet, round: number): AdapterState {
  const path = join(fleet.runFolder, `adapter-round-${round}.safetensors`);
  return decodeAdapterFile(readFileSync(path), path, SCALE);
}

/** Compares what the adapters add to their layers; their factors may differ. */
export function expectClose(got: AdapterState, want: AdapterState): void {
  for (const { name } of LAYERS) {
    const distance = relativeDistance(
      denseProduct(moduleNamed(got, name)),
      denseProduct(moduleNamed(want, name)),
    );
    assert.ok(distance < 1e-5, `${name} differs by ${distance}`);
  }
}
