/** Puts the adapter that a round starts from on the base: trained on as it is, or merged and followed by fresh factors. */
import type { ModelShape } from "../../base/model-shape.ts";
import type { Structure } from "../../base/structure.ts";
import type { TrainPlan } from "../../protocol/messages.ts";
import type { NamedTensor } from "../../tensor/named-tensors.ts";
import { AdaptedModel } from "../../train/adapted-model.ts";
import type { ResidentBase } from "./resident-base.ts";
import { startIn, type StartingPoint } from "./starting-point.ts";

export interface AdaptOptions {
  readonly plan: TrainPlan;
  readonly shape: ModelShape;
  readonly start: StartingPoint;
  /** What the model shall have: no more than the starting point. */
  readonly structure: Structure;
}

/**
 * A model of the given structure with the plan's adapter; detach it after use. With `start: "merge"` (FLoRA, Wang et al. 2024)
 * the received factors go into the base weights at their own rank, and the adapter is fresh; the base is then
 * loaded anew the next time. With `trainA: false` (FFA-LoRA, Sun et al. 2024) the A factors take no gradient.
 */
export function adaptBase(base: ResidentBase, options: AdaptOptions): AdaptedModel {
  const { plan, shape, start, structure } = options;
  const { targets, trainHead, seed } = plan;
  const scale = plan.alpha / plan.rank;
  const model = base.in(structure);
  const attach = (rank: number, dropout: number): AdaptedModel => {
    const lora = { rank, alpha: rank * scale, targets, dropout };
    return AdaptedModel.attach(model, { lora, trainHead, seed });
  };
  try {
    const isMerged = plan.start === "merge" && start.adapter !== null;
    const values = startIn(start, shape, structure);
    if (isMerged) {
      const received = attach(start.adapter.rank, 0);
      received.load(values, "adapter");
      received.lora.merge();
      base.discard();
    }
    const adapted = attach(plan.rank, plan.dropout);
    if (start.adapter !== null && !isMerged) adapted.load(values, "adapter");
    for (const { name, tensor } of adapted.parameters()) {
      if (!plan.trainA && isA(name)) tensor.requiresGrad = false;
    }
    return adapted;
  } catch (error) {
    // Nobody knows what is attached to the model by now.
    base.discard();
    throw error;
  }
}

/** The tensors that the plan trains. */
export function trainedParameters(adapted: AdaptedModel, { trainA }: TrainPlan): NamedTensor[] {
  return adapted.parameters().filter(({ name }) => trainA || !isA(name));
}

function isA(name: string): boolean {
  return name.endsWith(".lora_A.weight");
}
