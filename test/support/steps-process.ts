/** Trains a small model: `steps-process.js <steps>`, after as many to warm up. What --trace-gc prints between the two lines is the steps' own. */
import { Engine } from "../../src/tensor/engine.ts";
import { fullStructure } from "../../src/base/structure.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../src/train/fine-tune.ts";
import { countedModel, countedModels } from "./counted-steps.ts";
import { must } from "./must.ts";

const steps = Number(process.argv[2]);
const engine = Engine.create();
const model = countedModel(engine, must(countedModels["encoder with a pooler"]), fullStructure);
const lora = { rank: 8, alpha: 16, targets: "all-linear", dropout: 0.1 } as const;
const adapted = AdaptedModel.attach(model, { lora, trainHead: true, seed: 1 });
const sequences = Array.from({ length: 64 }, (_, i) => ({
  ids: Array.from({ length: 4 + (i % 13) }, (_, t) => (7 * i + t) % 300),
  label: i % 3,
}));
const tuner = new FineTuner(model, adapted.parameters(), sequences, {
  ...{ ...FINE_TUNE_DEFAULTS, steps: 2 * steps, batchSize: 8 },
});
for (let i = 0; i < steps; i++) tuner.step();
globalThis.gc?.();
process.stdout.write("begin\n");
for (let i = 0; i < steps; i++) tuner.step();
process.stdout.write("end\n");
