/** A LLaMA-shaped model with random weights, here and as a checkpoint file of llama2.c's first format. */
import { writeFileSync } from "node:fs";
import { Rng } from "../../src/base/rng.ts";
import { describeModel } from "../../src/models/description.ts";
import { llama } from "../../src/models/llama.ts";
import { Model } from "../../src/models/model.ts";
import { ParameterStore } from "../../src/nn/parameters.ts";
import type { Engine } from "../../src/tensor/engine.ts";

export interface GenerationShape {
  readonly name: string;
  readonly width: number;
  readonly inner: number;
  readonly layers: number;
  readonly heads: number;
  readonly vocab: number;
  readonly positions: number;
}

/** The published stories models, with as many key-value heads as query heads. */
export const generationShapes: readonly GenerationShape[] = [
  { name: "260K", width: 64, inner: 172, layers: 5, heads: 8, vocab: 512, positions: 512 },
  { name: "15M", width: 288, inner: 768, layers: 6, heads: 6, vocab: 32000, positions: 256 },
];

const THETA = 10_000;

/** Embeddings tied to the output, as in the published models. */
export function randomLlama(engine: Engine, shape: GenerationShape): Model {
  const config = {
    hidden_size: shape.width,
    intermediate_size: shape.inner,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    vocab_size: shape.vocab,
    max_position_embeddings: shape.positions,
    rms_norm_eps: 1e-5,
    rope_theta: THETA,
    tie_word_embeddings: true,
    initializer_range: 0.05,
  };
  const description = describeModel({ family: llama, task: "causal-lm", config });
  return new Model(new ParameterStore(engine, { rng: Rng.fromSeed(1) }), description);
}

/** Writes what llama2.c's `run` maps: seven int32 of header, then every weight as f32. */
export function writeLlama2c(path: string, model: Model, shape: GenerationShape): void {
  const { width, inner, layers, heads, vocab, positions } = shape;
  const header = Int32Array.of(width, inner, layers, heads, heads, vocab, positions);
  const read = (name: string): Float32Array => {
    const parameter = model.store.get(name);
    if (parameter === undefined) throw new RangeError(`the model has no ${name}`);
    return parameter.tensor.toHost();
  };
  const perLayer = (suffix: string, convert = (data: Float32Array): Float32Array => data) =>
    Array.from({ length: layers }, (_, i) => convert(read(`model.layers.${i}.${suffix}.weight`)));
  const paired = (data: Float32Array): Float32Array => pairedRows(data, heads, width);
  const { cos, sin } = rotations(positions, width / heads);
  const parts = [
    read("model.embed_tokens.weight"),
    ...perLayer("input_layernorm"),
    ...perLayer("self_attn.q_proj", paired),
    ...perLayer("self_attn.k_proj", paired),
    ...perLayer("self_attn.v_proj"),
    ...perLayer("self_attn.o_proj"),
    ...perLayer("post_attention_layernorm"),
    ...perLayer("mlp.gate_proj"),
    ...perLayer("mlp.down_proj"),
    ...perLayer("mlp.up_proj"),
    read("model.norm.weight"),
    cos,
    sin,
  ];
  const bytes = (view: Float32Array | Int32Array): Uint8Array =>
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  writeFileSync(path, Buffer.concat([bytes(header), ...parts.map(bytes)]));
}

/** Rows of each head from halves (Hugging Face's rotary layout) to neighbouring pairs (llama2.c's). */
function pairedRows(data: Float32Array, heads: number, width: number): Float32Array {
  const out = new Float32Array(data.length);
  const size = width / heads;
  for (let row = 0; row < heads * size; row++) {
    const [head, at] = [Math.floor(row / size), row % size];
    const from = head * size + (at % 2) * (size / 2) + Math.floor(at / 2);
    out.set(data.subarray(from * width, (from + 1) * width), row * width);
  }
  return out;
}

function rotations(positions: number, headSize: number): { cos: Float32Array; sin: Float32Array } {
  const half = headSize / 2;
  const angle = (i: number): number =>
    Math.floor(i / half) * THETA ** ((-2 * (i % half)) / headSize);
  return {
    cos: Float32Array.from({ length: positions * half }, (_, i) => Math.cos(angle(i))),
    sin: Float32Array.from({ length: positions * half }, (_, i) => Math.sin(angle(i))),
  };
}
