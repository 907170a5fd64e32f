/** What pretraining makes: a BERT-style encoder or a LLaMA-style decoder of the asked size. */
import { bert } from "../models/bert.ts";
import { llama } from "../models/llama.ts";
import type { ModelFamily, Task } from "../models/architecture.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

export interface PretrainSizes {
  readonly vocabSize: number;
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  readonly inner: number;
  readonly tokenizer: Tokenizer;
}

export interface PretrainPreset {
  readonly family: ModelFamily;
  readonly task: Extract<Task, "masked-lm" | "causal-lm">;
  readonly maxPositions: number;
  /** config.json in the form that transformers reads. */
  config(sizes: PretrainSizes): Record<string, unknown>;
}

const presets: Readonly<Record<"masked" | "causal", PretrainPreset>> = {
  masked: {
    family: bert,
    task: "masked-lm",
    maxPositions: 128,
    config: (sizes) => ({
      architectures: ["BertForMaskedLM"],
      model_type: "bert",
      vocab_size: sizes.vocabSize,
      hidden_size: sizes.width,
      num_hidden_layers: sizes.layers,
      num_attention_heads: sizes.heads,
      intermediate_size: sizes.inner,
      max_position_embeddings: 128,
      type_vocab_size: 1,
      hidden_act: "gelu",
      layer_norm_eps: 1e-12,
      pad_token_id: sizes.tokenizer.special.pad ?? 0,
      // Masked training leaves no trained pooler: classifiers on top average the tokens.
      classifier_pooling: "mean",
    }),
  },
  causal: {
    family: llama,
    task: "causal-lm",
    maxPositions: 256,
    config: (sizes) => ({
      architectures: ["LlamaForCausalLM"],
      model_type: "llama",
      vocab_size: sizes.vocabSize,
      hidden_size: sizes.width,
      num_hidden_layers: sizes.layers,
      num_attention_heads: sizes.heads,
      num_key_value_heads: sizes.heads,
      intermediate_size: sizes.inner,
      max_position_embeddings: 256,
      hidden_act: "silu",
      rms_norm_eps: 1e-6,
      rope_theta: 10000,
      tie_word_embeddings: true,
      attention_bias: false,
      mlp_bias: false,
      bos_token_id: sizes.tokenizer.special.bos ?? sizes.tokenizer.special.cls ?? null,
      eos_token_id: sizes.tokenizer.special.eos ?? sizes.tokenizer.special.sep ?? null,
      pad_token_id: sizes.tokenizer.special.pad ?? 0,
    }),
  },
};

export function pretrainPreset(objective: "masked" | "causal"): PretrainPreset {
  return presets[objective];
}
