/** Whether a plan fits this device's memory, before anything of it is tried. */
import { MemoryError } from "../../base/errors.ts";
import type { ModelShape } from "../../base/model-shape.ts";
import { trainingMemory } from "../../cost/memory.ts";
import { processBytes } from "../../cost/process.ts";
import type { StepSetup } from "../../cost/step.ts";
import type { MemoryBudget } from "../memory-budget.ts";

export interface FitOptions {
  readonly shape: ModelShape;
  /** As the plan says; a device may recompute where the plan does not ask for it, for the bits are the same. */
  readonly setup: StepSetup;
  readonly budget: MemoryBudget;
  /** Resident memory of the process without the engine's. */
  readonly otherBytes: number;
}

/** Whether blocks must run again for the step to fit. Throws MemoryError where that is not enough. */
export function fitPlan({ shape, setup, budget, otherBytes }: FitOptions): boolean {
  const forecast = (recompute: boolean): number =>
    processBytes(otherBytes, trainingMemory(shape, { ...setup, recompute }));
  if (setup.recompute !== true && forecast(false) <= budget.bytes) return false;
  const least = forecast(true);
  if (least <= budget.bytes) return true;
  const { batchSize, numTokens, rank } = setup;
  const beyondEngine = least - trainingMemory(shape, { ...setup, recompute: true }).peak;
  throw new MemoryError(
    "the plan does not fit this device's memory",
    Math.max(0, budget.bytes - beyondEngine),
    {
      expected: `at most ${megabytes(budget.bytes)} for the process (${budget.source})`,
      got: `${megabytes(least)} for batches of ${batchSize} x ${numTokens} tokens at rank ${rank}, with recomputation`,
    },
  );
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
