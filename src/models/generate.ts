/** Text from a causal model, token by token, with a key-value cache. */
import { Tape } from "../autograd/tape.ts";
import { rope } from "../autograd/ops/rope.ts";
import { ShapeError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Block } from "./block.ts";
import type { Model } from "./model.ts";


export interface GenerateOptions {
  readonly maxTokens: number;
  /** 0 takes the likeliest token; above, logits are divided by it and a token is drawn. */
  readonly temperature: number;
  /** Needed when temperature is above 0. */
  readonly rng?: Rng;
  /** Stops after one of these; it is not part of the result. */
  readonly stopIds: readonly number[];
}

/**
 * Yields the ids that follow the prompt, until a stop token, the limit or the last position. Throws
 * ShapeError for a prompt that is empty or longer than the positions.
 */
export function* generate(
  model: Model,
  promptIds: readonly number[],
  options: GenerateOptions,
): Generator<number> {
  if (promptIds.length === 0) throw new ShapeError("generate", { expected: "a prompt token" });
  const { maxPositions } = model.architecture;
  if (promptIds.length > maxPositions) {
    throw new ShapeError("generate: prompt too long", {
      expected: `at most ${maxPositions} tokens`,
      got: String(promptIds.length),
    });
  }
  const cache = new KeyValueCache(model, Math.min(maxPositions, promptIds.length + options.maxTokens));
  try {
    let logits = new Float32Array(0);
    for (const id of promptIds) logits = cache.append(id);
    for (let count = 0; count < options.maxTokens; count++) {
      const id = choose(logits, options);
      if (options.stopIds.includes(id)) return;
      yield id;
      if (cache.length >= cache.capacity) return;
      logits = cache.append(id);
    }
  } finally {
    cache.dispose();
  }
}

/** Keys and values [capacity, G·D] of every block, G being what is left in it, in the state region. */
class KeyValueCache {
  readonly capacity: number;
  length = 0;
  readonly #model: Model;
  readonly #keys: Tensor[];
  readonly #values: Tensor[];

  constructor(model: Model, capacity: number) {
    const { headSize } = model.architecture;
    const make = ({ numKvHeads }: Block): Tensor =>
      model.engine.empty([capacity, numKvHeads * headSize], "state");
    this.capacity = capacity;
    this.#model = model;
    this.#keys = model.body.blocks.map(make);
    this.#values = model.body.blocks.map(make);
  }

  /** Runs one token through the model and returns the logits [V] of what follows. */
  append(id: number): Float32Array<ArrayBuffer> {
    const { engine, body } = this.#model;
    const position = this.length++;
    return engine.step(() => {
      const tape = new Tape(engine, { recording: false });
      const positions = engine.integers([position]);
      let x = body.embed(tape, Int32Array.of(id), Int32Array.of(position));
      body.blocks.forEach((block, i) => {
        x = body.runBlock(tape, block, x, (inp) =>
          this.#attend(tape, block, i, inp, positions, position),
        );
      });
      if (body.finalNorm !== null) x = body.finalNorm.forward(tape, x);
      return Float32Array.from(this.#model.project(tape, x).f32);
    });
  }

  dispose(): void {
    for (const tensor of [...this.#keys, ...this.#values]) this.#model.engine.free(tensor);
  }

  #attend(
    tape: Tape,
    block: Block,
    layerIndex: number,
    x: Tensor,
    positions: Tensor,
    position: number,
  ): Tensor {
    const { engine } = tape;
    const { kernels } = engine;
    const { headSize: D } = this.#model.architecture;
    const { numHeads: H, numKvHeads: G } = block;
    const { rope: tables } = this.#model.body;
    let q = block.query.forward(tape, x);
    let k = block.key.forward(tape, x);
    const v = block.value.forward(tape, x);
    if (tables !== null) {
      q = rope(tape, q, tables, positions, H);
      k = rope(tape, k, tables, positions, G);
    }
    const [keys, values] = [this.#keys[layerIndex] as Tensor, this.#values[layerIndex] as Tensor];
    const rowBytes = G * D * 4;
    kernels.copyF32(keys.ptr + position * rowBytes, k.ptr, G * D);
    kernels.copyF32(values.ptr + position * rowBytes, v.ptr, G * D);
    const out = engine.empty([1, H * D]);
    const scratch = engine.scratch(4 * (position + 1));
    const scale = 1 / Math.sqrt(D);
    const S = position + 1;
    kernels.attentionDecodeF32(out.ptr, q.ptr, keys.ptr, values.ptr, scratch, S, H, G, D, scale);
    return block.attentionOutput.forward(tape, out);
  }
}

function choose(logits: Float32Array, { temperature, rng }: GenerateOptions): number {
  let best = 0;
  logits.forEach((value, i) => {
    if (value > (logits[best] as number)) best = i;
  });
  if (temperature <= 0 || rng === undefined) return best;
  const top = logits[best] as number;
  const weights = Array.from(logits, (value) => Math.exp((value - top) / temperature));
  let rest = rng.next() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return i;
  }
  return best;
}
