/**
 * One LoRA step (forward, backward, AdamW) of BERT shapes, ours beside PyTorch's, interleaved in one run.
 *
 *   npm run bench:pytorch            needs Debian's python3-torch and libopenblas0-pthread
 *
 * One thread each. A table on stderr, one JSON line per shape and engine on stdout.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadKernels, type KernelVariant } from "../../src/backend/wasm.ts";
import { KernelError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { bert } from "../../src/models/bert.ts";
import { describeModel } from "../../src/models/description.ts";
import { Model } from "../../src/models/model.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { AdaptedModel } from "../../src/train/adapted-model.ts";
import { Trainer } from "../../src/train/trainer.ts";

interface StepShape {
  readonly name: string;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly inner: number;
  readonly vocab: number;
  readonly rank: number;
  readonly batch: number;
  readonly tokens: number;
}

const common = { vocab: 30522, rank: 8, batch: 16, tokens: 64 };
const SHAPES: readonly StepShape[] = [
  { name: "bert-tiny 2x128", layers: 2, width: 128, heads: 2, inner: 512, ...common },
  { name: "bert-mini 4x256", layers: 4, width: 256, heads: 4, inner: 1024, ...common },
  { name: "bert-small 4x512", layers: 4, width: 512, heads: 8, inner: 2048, ...common },
];
const REPEATS = 11;

interface Contender {
  readonly name: string;
  /** Milliseconds of one step. */
  step(): Promise<number>;
}

function ours(variant: KernelVariant, shape: StepShape): Contender {
  const engine = Engine.create({ kernels: variant });
  const config = {
    vocab_size: shape.vocab,
    hidden_size: shape.width,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    intermediate_size: shape.inner,
    max_position_embeddings: 128,
    type_vocab_size: 0,
    classifier_pooling: "mean",
  };
  const store = new ParameterStore(engine, { rng: Rng.fromSeed(1) });
  const model = new Model(
    store,
    describeModel({ family: bert, task: "classify", config, labels: ["a", "b"] }),
  );
  const adapted = AdaptedModel.attach(model, {
    lora: { rank: shape.rank, alpha: 16, targets: ["query", "value"], dropout: 0 },
    trainHead: true,
    seed: 1,
  });
  const trainer = new Trainer(engine, adapted.parameters(), {
    schedule: { kind: "constant", peakRate: 1e-3, warmupSteps: 0, totalSteps: 1 },
    clipNorm: null,
    seed: 1,
  });
  const rng = Rng.fromSeed(2);
  const { batch: B, tokens: T } = shape;
  const ids = Int32Array.from({ length: B * T }, () => rng.int(shape.vocab));
  const batch = { ids, lengths: new Int32Array(B).fill(T), B, T };
  const labels = Int32Array.from({ length: B }, () => rng.int(2));
  return {
    name: variant === "simd" ? "strict" : variant,
    step() {
      const startMs = performance.now();
      trainer.step([(tape) => model.loss(tape, batch, { kind: "classes", labels })]);
      return Promise.resolve(performance.now() - startMs);
    },
  };
}

/** PyTorch in a child process; null where it is not installed. */
function pytorch(): { contender: (shape: StepShape) => Contender; close: () => void } {
  const script = fileURLToPath(new URL("../../../bench/pytorch/lora_step.py", import.meta.url));
  // /usr/bin/python3 is the one that Debian's python3-torch belongs to.
  const child = spawn("/usr/bin/python3", [script], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, OPENBLAS_NUM_THREADS: "1", OMP_NUM_THREADS: "1" },
  });
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(line));
  child.once("exit", (code) => {
    if (code !== 0 && code !== null) {
      console.error("PyTorch did not run: apt-get install python3-torch libopenblas0-pthread");
      process.exit(69);
    }
  });
  const contender = (shape: StepShape): Contender => ({
    name: "pytorch",
    async step() {
      const answer = new Promise<string>((resolve) => waiting.push(resolve));
      child.stdin.write(`${JSON.stringify(shape)}\n`);
      return (JSON.parse(await answer) as { ms: number }).ms;
    },
  });
  return { contender, close: () => child.stdin.end() };
}

function canRun(variant: KernelVariant): boolean {
  try {
    loadKernels({ variant });
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

const torch = pytorch();
for (const shape of SHAPES) {
  const variants = (["simd", "relaxed"] as const).filter(canRun);
  const contenders = [torch.contender(shape), ...variants.map((variant) => ours(variant, shape))];
  const times = contenders.map((): number[] => []);
  for (let repeat = -2; repeat < REPEATS; repeat++) {
    for (const [i, contender] of contenders.entries()) {
      const ms = await contender.step();
      if (repeat >= 0) times[i]?.push(ms);
    }
  }
  const medians = times.map((values) => values.toSorted((a, b) => a - b)[REPEATS >> 1] as number);
  const peer = medians[0] as number;
  const cells = contenders.map(({ name }, i) => {
    const median = medians[i] as number;
    const record = { name: "lora-step", shape: shape.name, engine: name, ms: median };
    console.log(JSON.stringify({ ...record, ratio: median / peer, node: process.versions.node }));
    return `${name} ${median.toFixed(1)} ms (${(median / peer).toFixed(2)}x)`;
  });
  console.error(`${shape.name.padEnd(18)} ${cells.join("   ")}`);
}
torch.close();
