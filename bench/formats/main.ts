/**
 * What the numbers of the frozen base cost and save: both products of a linear layer, a LoRA step, and the
 * bytes of the weights, in f32, f16, int8 and int4, interleaved, on one thread.
 *
 *   npm run bench:formats [-- words]     words: parts of a shape's name, as "products" or "bert-small"
 *
 * A table on stderr, one JSON line per figure on stdout; `ratio` is the time over that of f32.
 */
import { baseDtypes, type BaseDtype } from "../../src/base/base-dtype.ts";
import { Rng } from "../../src/base/rng.ts";
import { product } from "../../src/autograd/ops/linear.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { storeRows } from "../../src/tensor/storage/storages.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { interleavedMedians, printMedians, type Contender } from "../steps/contender.ts";
import { canRun, ourModel } from "../steps/ours.ts";
import { stepShapes } from "../steps/shapes.ts";

const ROUNDS = 15;
const STEP_ROUNDS = 5;
/** A run repeats a product until it has computed about so much. */
const RUN_GFLOP = 0.5;

/** Rows, outputs and inputs of layers: a cube, the layers of BERT-small on 16 x 64 tokens, one token of them. */
const layers: readonly (readonly [M: number, N: number, K: number])[] = [
  [480, 480, 480],
  [1024, 512, 512],
  [1024, 2048, 512],
  [1024, 512, 2048],
  [1, 2048, 512],
];

/** Processor time in milliseconds: other programs on the machine do not count. */
function processorTimed(name: string, run: () => unknown): Contender {
  return {
    name,
    run() {
      const before = process.cpuUsage();
      run();
      const { user, system } = process.cpuUsage(before);
      return Promise.resolve((user + system) / 1000);
    },
  };
}

function filled(engine: Engine, shape: readonly [number, number], dtype: BaseDtype): Tensor {
  const rng = Rng.fromSeed("bench");
  const values = Float32Array.from({ length: shape[0] * shape[1] }, () => rng.normal());
  if (dtype === "f32") return engine.fromHost({ shape, data: values }, "weights");
  const weight = engine.empty(shape, "weights", dtype);
  storeRows(engine, weight, 0, values);
  return weight;
}

async function timeProducts(kernels: "simd" | "relaxed"): Promise<void> {
  const engine = Engine.create({ kernels });
  console.error(`${kernels}: int8 by ${int8Way(engine.kernels.int8DotOffset())}`);
  for (const [M, N, K] of layers) {
    const gflop = (2 * M * N * K) / 1e9;
    const repeats = Math.max(1, Math.round(RUN_GFLOP / gflop));
    for (const kind of ["Nt", "Nn"] as const) {
      // One row has no gradient: that is generation.
      if (M === 1 && kind === "Nn") continue;
      const a = filled(engine, kind === "Nt" ? [M, K] : [M, N], "f32");
      const weights = baseDtypes.map((dtype) => filled(engine, [N, K], dtype));
      const contenders = weights.map((weight, i) =>
        processorTimed(baseDtypes[i] as string, () => {
          for (let r = 0; r < repeats; r++) engine.step(() => product(engine, kind, a, weight));
        }),
      );
      const medians = await interleavedMedians(contenders, { rounds: ROUNDS });
      const shape = `${kind} ${M}x${N}x${K}`;
      printMedians({ name: `products-${kernels}`, shape }, contenders, medians, "f32");
      for (const tensor of [a, ...weights]) engine.free(tensor);
    }
  }
}

function int8Way(offset: number): string {
  return offset < 0 ? "products of 16 bits" : "dot products of bytes";
}

async function timeSteps(words: readonly string[]): Promise<void> {
  for (const shape of stepShapes.filter(({ name }) => words.some((word) => name.includes(word)))) {
    for (const kernels of (["simd", "relaxed"] as const).filter(canRun)) {
      const models = baseDtypes.map((baseDtype) => ourModel(shape, { kernels, baseDtype }));
      const contenders = models.map((model, i) =>
        processorTimed(baseDtypes[i] as string, () => model.step()),
      );
      const medians = await interleavedMedians(contenders, { rounds: STEP_ROUNDS });
      printMedians({ name: `lora-step-${kernels}`, shape: shape.name }, contenders, medians, "f32");
      for (const [i, { engine }] of models.entries()) {
        const megabytes = engine.stats.weights / 1e6;
        console.log(
          JSON.stringify({ name: "weights", shape: shape.name, engine: baseDtypes[i], megabytes }),
        );
        engine.dispose();
      }
    }
  }
}

const words = process.argv.slice(2);
if (words.length === 0 || words.includes("products")) {
  for (const kernels of (["simd", "relaxed"] as const).filter(canRun)) await timeProducts(kernels);
}
await timeSteps(words.length === 0 ? ["bert-tiny", "bert-small"] : words);
