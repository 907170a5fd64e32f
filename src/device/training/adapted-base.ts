/** Puts the adapter that a round starts from on the base: trained on as it is, or merged and followed by fresh factors. */
import { product } from "../../autograd/ops/linear.ts";
import type { LoraModule } from "../../base/adapter.ts";
import type { HostArray, NamedArrays } from "../../base/arrays.ts";
import type { ModelShape } from "../../base/model-shape.ts";
import type { Structure } from "../../base/structure.ts";
import { adapterArrays } from "../../io/adapter-file.ts";
import type { Model } from "../../models/model.ts";
import type { TrainPlan } from "../../protocol/messages.ts";
import type { NamedTensor } from "../../tensor/named-tensors.ts";
import { AdaptedModel } from "../../train/adapted-model.ts";
import type { ResidentBase } from "./resident-base.ts";
import { cutModules, type StartingPoint } from "./starting-point.ts";

export interface AdaptOptions {
  readonly plan: TrainPlan;
  readonly shape: ModelShape;
  readonly start: StartingPoint;
  /** What the model shall have: no more than the starting point. */
  readonly structure: Structure;
}

/**
 * A model of the given structure with the plan's adapter; detach it after use. With `start: "merge"` (FLoRA, Wang et al. 2024)
 * the received factors go into the base weights, each layer's at its own rank, and the adapter is fresh; the
 * base is then loaded anew the next time. With `trainA: false` (FFA-LoRA, Sun et al. 2024) the A factors take no gradient.
 */
export function adaptBase(base: ResidentBase, options: AdaptOptions): AdaptedModel {
  const { plan, shape, start, structure } = options;
  const { rank, alpha, targets, dropout, trainHead, seed } = plan;
  const model = base.in(structure);
  try {
    const heads: NamedArrays = start.adapter?.heads ?? new Map<string, HostArray>();
    const modules = cutModules(start.adapter?.modules ?? [], shape, {
      before: start.structure,
      structure,
    });
    const isMerged = plan.start === "merge";
    if (isMerged && modules.length > 0) {
      base.discard();
      mergeModules(model, modules);
    }
    const lora = { rank, alpha, targets, dropout };
    const adapted = AdaptedModel.attach(model, { lora, trainHead, seed });
    if (start.adapter !== null) {
      const factors = isMerged ? adapted.lora.export() : adapterArrays({ modules, heads });
      adapted.load(new Map([...factors, ...heads]), "adapter");
    }
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

/** W += s B A */
function mergeModules(model: Model, modules: readonly LoraModule[]): void {
  const { engine } = model;
  const weights = new Map(model.linears().map(({ name, weight }) => [name, weight.tensor]));
  for (const { name, a, b, scale } of modules) {
    const out = weights.get(name);
    if (out === undefined) continue;
    engine.step(() => {
      const [left, right] = [engine.fromHost(b), engine.fromHost(a)];
      product(engine, "Nn", left, right, { out, alpha: scale, accumulate: true });
    });
  }
}

/** The tensors that the plan trains. */
export function trainedParameters(adapted: AdaptedModel, { trainA }: TrainPlan): NamedTensor[] {
  return adapted.parameters().filter(({ name }) => trainA || !isA(name));
}

function isA(name: string): boolean {
  return name.endsWith(".lora_A.weight");
}
