/** Puts an adapter that is given as plain arrays on a model, module by module. */
import type { AdapterState } from "../base/adapter.ts";
import { adapterArrays } from "../io/adapter-file.ts";
import type { Model } from "../models/model.ts";
import { AdaptedModel } from "./adapted-model.ts";

/** Ranks and scales may differ between modules. Throws CheckpointError where a factor or head does not fit the model. */
export function attachState(model: Model, state: AdapterState): AdaptedModel {
  const { modules } = state;
  const ranks = modules.map(({ name, a }) => [name, a.shape[0] as number] as const);
  const adapted = AdaptedModel.attach(model, {
    lora: {
      rank: 1,
      alpha: 1,
      targets: modules.map(({ name }) => name),
      dropout: 0,
      rankPattern: Object.fromEntries(ranks.map(([name, rank]) => [exactly(name), rank])),
      alphaPattern: Object.fromEntries(
        modules.map(({ name, a, scale }) => [exactly(name), scale * (a.shape[0] as number)]),
      ),
    },
    trainHead: true,
    seed: 0,
  });
  adapted.load(adapterArrays(state), "global adapter");
  return adapted;
}

/** Patterns are regular expressions; a name's dots must not match anything else. */
function exactly(name: string): string {
  return name.replaceAll(".", "\\.");
}
