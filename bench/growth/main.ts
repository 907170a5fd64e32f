/**
 * How our engine's times grow: a LoRA step over batch sizes, lengths, layers and sparsities, and full training of
 * a small decoder. One JSON line per figure on stdout, a table on stderr.
 *
 *   npm run bench:growth [-- strict | relaxed]
 */
import { Rng } from "../../src/base/rng.ts";
import { describeModel } from "../../src/models/description.ts";
import { llama } from "../../src/models/llama.ts";
import { Model } from "../../src/models/model.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { Trainer } from "../../src/train/trainer.ts";
import { interleavedMedians, timed, type Contender } from "../steps/contender.ts";
import { ourModel } from "../steps/ours.ts";
import { stepShapes, type StepShape } from "../steps/shapes.ts";

const kernels = process.argv.includes("relaxed") ? "relaxed" : "simd";
const ROUNDS = 7;

interface Point {
  readonly label: string;
  /** Work that the time is divided by, in `unit`. */
  readonly amount: number;
  readonly contender: Contender;
  readonly stepBytes: () => number;
}

/** Times all points in turn and prints each beside the first. */
async function series(name: string, unit: string, points: readonly Point[]): Promise<void> {
  const medians = await interleavedMedians(
    points.map(({ contender }) => contender),
    { rounds: ROUNDS },
  );
  const first = (medians[0] as number) / (points[0]?.amount ?? 1);
  points.forEach(({ label, amount, stepBytes }, i) => {
    const ms = medians[i] as number;
    const msPer = ms / amount;
    const stepMb = stepBytes() / 1e6;
    const record = { name, kernels, point: label, ms, [`msPer${unit}`]: msPer };
    console.log(JSON.stringify({ ...record, ratio: msPer / first, stepMb }));
    const cells = [`${ms.toFixed(1)} ms`, `${msPer.toFixed(4)} ms per ${unit.toLowerCase()}`];
    console.error(
      [name.padEnd(14), label.padEnd(12), ...cells, `x${(msPer / first).toFixed(2)}`].join("  "),
    );
  });
}

const small = stepShapes.find(({ name }) => name.startsWith("bert-small")) as StepShape;
const mini = stepShapes.find(({ name }) => name.startsWith("bert-mini")) as StepShape;

function lora(label: string, changes: Partial<StepShape>, amount: (shape: StepShape) => number) {
  const shape = { ...mini, ...changes };
  const model = ourModel(shape, { kernels });
  return {
    label,
    amount: amount(shape),
    contender: timed(label, () => model.step()),
    stepBytes: () => model.engine.stats.stepPeak,
  };
}

const tokensOf = ({ batch, tokens }: StepShape): number => batch * tokens;

await series(
  "batch",
  "Token",
  [1, 4, 16, 64].map((batch) => lora(`${batch} x 64`, { batch }, tokensOf)),
);
await series(
  "layers",
  "Layer",
  [2, 4, 8].map((layers) => lora(`${layers} layers`, { layers }, () => layers)),
);
await series(
  "length",
  "Token",
  [64, 128, 256, 512].map((tokens) =>
    lora(`${1024 / tokens} x ${tokens}`, { tokens, batch: 1024 / tokens }, tokensOf),
  ),
);
await series(
  "body sparsity",
  "Step",
  [0, 0.25, 0.5, 0.75].map((sparsity) => {
    return lora(`${100 * sparsity} %`, { ...small, sparsity }, () => 1);
  }),
);
await series("gpt-nano", "Token", [fullTraining()]);

/** 3 layers, 48 wide, 50,257 words, 8 sequences of 128 tokens, every weight trained: DISCO's published benchmark model. */
function fullTraining(): Point {
  const [B, T, vocab] = [8, 128, 50257];
  const engine = Engine.create({ kernels });
  const config = {
    hidden_size: 48,
    intermediate_size: 128,
    num_hidden_layers: 3,
    num_attention_heads: 3,
    vocab_size: vocab,
    max_position_embeddings: T,
    tie_word_embeddings: false,
  };
  const store = new ParameterStore(engine, { rng: Rng.fromSeed(1) });
  const model = new Model(store, describeModel({ family: llama, task: "causal-lm", config }));
  const trainer = new Trainer(engine, store.all(), {
    schedule: { kind: "constant", peakRate: 1e-3, warmupSteps: 0, totalSteps: 1 },
    clipNorm: 1,
    seed: 1,
  });
  const rng = Rng.fromSeed(2);
  const ids = Int32Array.from({ length: B * T }, () => rng.int(vocab));
  const batch = { ids, offsets: Int32Array.from({ length: B + 1 }, (_, b) => b * T) };
  return {
    label: `${B} x ${T}`,
    amount: B * T,
    contender: timed("full step", () =>
      trainer.step([(tape) => model.loss(tape, batch, { kind: "next-token" })]),
    ),
    stepBytes: () => engine.stats.stepPeak,
  };
}
