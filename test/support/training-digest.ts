/** Prints a digest of adapters that short training runs end with: a program, so that it can run on another machine. */
import { createHash } from "node:crypto";
import { loadModel } from "../../src/models/load.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { FINE_TUNE_DEFAULTS, FineTuner } from "../../src/train/fine-tune.ts";
import { tinyFolder, tinyReference, tinySequences, type TinyName } from "./tiny-model.ts";

const models: readonly TinyName[] = ["bert-classify", "llama-classify"];
const hash = createHash("sha256");
for (const name of models) {
  const sequences = tinySequences(tinyReference(name));
  const engine = Engine.create({ kernels: "simd" });
  const model = loadModel(engine, tinyFolder(name), { task: "classify" });
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: 3, alpha: 6, targets: "all-linear", dropout: 0.1 },
    trainHead: true,
    seed: 5,
  });
  const tuner = new FineTuner(model, adapted.parameters(), sequences, {
    ...FINE_TUNE_DEFAULTS,
    ...{ steps: 6, batchSize: 3, seed: 7 },
  });
  while (!tuner.isDone) tuner.step();
  for (const [parameter, { data }] of adapted.export()) {
    hash.update(parameter).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
}
process.stdout.write(`${hash.digest("hex")}\n`);
