/** LLaMA (Touvron et al. 2023): pre-norm causal decoder with rotary positions and a gated MLP. */
import type { ConfigReader, ModelFamily } from "./architecture.ts";

const LAYER = "model.layers.{i}";

export const llama: ModelFamily = {
  modelType: "llama",
  tasks: ["causal-lm", "classify"],
  className: {
    "causal-lm": "LlamaForCausalLM",
    classify: "LlamaForSequenceClassification",
  },
  optionalPrefix: "model.",
  ignorable: [/^lm_head\./, /^score\./, /rotary_emb\.inv_freq$/],
  defaultTargets: ["q_proj", "v_proj"],

  architecture(config) {
    config.choice("hidden_act", ["silu"], "silu");
    const width = config.int("hidden_size");
    const numHeads = config.int("num_attention_heads");
    return {
      vocabSize: config.int("vocab_size"),
      width,
      numLayers: config.int("num_hidden_layers"),
      numHeads,
      numKvHeads: config.int("num_key_value_heads", numHeads),
      headSize: config.has("head_dim") ? config.int("head_dim") : width / numHeads,
      innerWidth: config.int("intermediate_size"),
      maxPositions: config.int("max_position_embeddings", 2048),
      norm: { kind: "rms", eps: config.number("rms_norm_eps", 1e-6) },
      normPlacement: "pre",
      causal: true,
      attentionBias: config.boolean("attention_bias", false),
      mlpBias: config.boolean("mlp_bias", false),
      mlp: { kind: "gated" },
      positions: { kind: "rope", theta: ropeTheta(config) },
      tokenTypes: 0,
      initStd: config.number("initializer_range", 0.02),
    };
  },

  names: {
    tokenEmbedding: "model.embed_tokens.weight",
    query: `${LAYER}.self_attn.q_proj`,
    key: `${LAYER}.self_attn.k_proj`,
    value: `${LAYER}.self_attn.v_proj`,
    attentionOutput: `${LAYER}.self_attn.o_proj`,
    attentionNorm: `${LAYER}.input_layernorm`,
    gate: `${LAYER}.mlp.gate_proj`,
    up: `${LAYER}.mlp.up_proj`,
    down: `${LAYER}.mlp.down_proj`,
    mlpNorm: `${LAYER}.post_attention_layernorm`,
    finalNorm: "model.norm",
  },

  units: {
    heads: { rows: ["query", "key", "value"], cols: ["attentionOutput"] },
    ffn: { rows: ["gate", "up"], cols: ["down"] },
  },

  head(task, config) {
    if (task === "classify") {
      return { kind: "classifier", pooling: "last", classifier: "score", bias: false };
    }
    if (config.boolean("tie_word_embeddings", false)) return { kind: "lm" };
    return { kind: "lm", decoder: "lm_head" };
  },
};

/**
 * The base of the rotary angles: transformers 5 writes it into `rope_parameters`, earlier releases
 * beside `rope_scaling`. Throws CheckpointError where the positions are scaled.
 */
function ropeTheta(config: ConfigReader): number {
  for (const section of ["rope_parameters", "rope_scaling"]) {
    const rope = config.section(section);
    for (const key of ["rope_type", "type"]) rope.choice(key, ["default"], "default");
    if (rope.number("partial_rotary_factor", 1) !== 1) {
      rope.refuse("partial_rotary_factor", "1: every channel turns");
    }
  }
  const rope = config.section("rope_parameters");
  return rope.number("rope_theta", config.number("rope_theta", 10000));
}
