/** BERT (Devlin et al. 2018): post-norm bidirectional encoder with learned positions. */
import type { ModelFamily } from "./architecture.ts";

const LAYER = "bert.encoder.layer.{i}";

export const bert: ModelFamily = {
  modelType: "bert",
  tasks: ["classify", "masked-lm"],
  className: {
    classify: "BertForSequenceClassification",
    "masked-lm": "BertForMaskedLM",
  },
  optionalPrefix: "bert.",
  ignorable: [/^cls\./, /^classifier\./, /pooler\./, /position_ids$/],
  defaultTargets: ["query", "value"],

  architecture(config) {
    config.choice("position_embedding_type", ["absolute"], "absolute");
    if (config.boolean("is_decoder", false)) config.refuse("is_decoder", "encoders only");
    const width = config.int("hidden_size");
    const numHeads = config.int("num_attention_heads");
    return {
      vocabSize: config.int("vocab_size"),
      width,
      numLayers: config.int("num_hidden_layers"),
      numHeads,
      numKvHeads: numHeads,
      headSize: width / numHeads,
      innerWidth: config.int("intermediate_size"),
      maxPositions: config.int("max_position_embeddings"),
      norm: { kind: "layer", eps: config.number("layer_norm_eps", 1e-12) },
      normPlacement: "post",
      causal: false,
      attentionBias: true,
      mlpBias: true,
      mlp: { kind: "plain", activation: ACTIVATIONS[config.choice("hidden_act", ACTS, "gelu")] },
      positions: { kind: "learned" },
      tokenTypes: config.int("type_vocab_size", 2),
      initStd: config.number("initializer_range", 0.02),
    };
  },

  names: {
    tokenEmbedding: "bert.embeddings.word_embeddings.weight",
    positionEmbedding: "bert.embeddings.position_embeddings.weight",
    tokenTypeEmbedding: "bert.embeddings.token_type_embeddings.weight",
    embeddingNorm: "bert.embeddings.LayerNorm",
    query: `${LAYER}.attention.self.query`,
    key: `${LAYER}.attention.self.key`,
    value: `${LAYER}.attention.self.value`,
    attentionOutput: `${LAYER}.attention.output.dense`,
    attentionNorm: `${LAYER}.attention.output.LayerNorm`,
    up: `${LAYER}.intermediate.dense`,
    down: `${LAYER}.output.dense`,
    mlpNorm: `${LAYER}.output.LayerNorm`,
  },

  units: {
    heads: { rows: ["query", "key", "value"], cols: ["attentionOutput"] },
    ffn: { rows: ["up"], cols: ["down"] },
  },

  head(task, config) {
    if (task === "classify") {
      const pooling = config.choice("classifier_pooling", ["cls", "mean"], "cls");
      const classifier = { kind: "classifier", classifier: "classifier", bias: true } as const;
      if (pooling === "mean") return { ...classifier, pooling: "mean" as const };
      return { ...classifier, pooling: "first" as const, pooler: "bert.pooler.dense" };
    }
    const activation = ACTIVATIONS[config.choice("hidden_act", ACTS, "gelu")];
    return {
      kind: "lm",
      transform: {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.LayerNorm",
        activation,
      },
      ...(config.boolean("tie_word_embeddings", true)
        ? {}
        : { decoder: "cls.predictions.decoder" }),
      bias: "cls.predictions.bias",
    };
  },
};

const ACTS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"] as const;

const ACTIVATIONS = {
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  relu: "relu",
  silu: "silu",
} as const;
