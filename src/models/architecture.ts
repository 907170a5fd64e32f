/** What a transformer is, as data: a family fills this in, the stack executes it. */
import type { ActivationName } from "../autograd/ops/activation.ts";
import type { UnitKind } from "../base/structure.ts";
import type { NormKind } from "../nn/norm.ts";

/** Sizes and choices of one model; every letter as in GLOSSARY.md. */
export interface Architecture {
  readonly vocabSize: number;
  readonly width: number;
  readonly numLayers: number;
  readonly numHeads: number;
  /** Key-value heads; equal to numHeads unless queries are grouped. */
  readonly numKvHeads: number;
  readonly headSize: number;
  readonly innerWidth: number;
  readonly maxPositions: number;
  readonly norm: NormKind;
  /** "post": norm after each residual sum (BERT); "pre": before each block and once at the end (LLaMA). */
  readonly normPlacement: "post" | "pre";
  readonly causal: boolean;
  /** Bias on the attention projections and on the MLP. */
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  readonly mlp: { kind: "plain"; activation: ActivationName } | { kind: "gated" };
  readonly positions: { kind: "learned" } | { kind: "rope"; theta: number };
  /** Number of token types, 0 for none. */
  readonly tokenTypes: number;
  readonly initStd: number;
}

/** Where the parameters of a family stand in a checkpoint; "{i}" is the layer index. */
export interface ParameterNames {
  readonly tokenEmbedding: string;
  readonly positionEmbedding?: string;
  readonly tokenTypeEmbedding?: string;
  readonly embeddingNorm?: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attentionOutput: string;
  readonly attentionNorm: string;
  readonly gate?: string;
  readonly up: string;
  readonly down: string;
  readonly mlpNorm: string;
  readonly finalNorm?: string;
}

/** The linear layers of a block, in the order of execution. */
export const linearRoles = [
  "query",
  "key",
  "value",
  "attentionOutput",
  "gate",
  "up",
  "down",
] as const;
export type LinearRole = (typeof linearRoles)[number];

/** The layers that have outputs (rows) of their own for every unit of a kind, and those that have inputs (columns). */
export interface UnitLayers {
  readonly rows: readonly LinearRole[];
  readonly cols: readonly LinearRole[];
}

/** What a model is used for; decides its head. */
export type Task = "classify" | "masked-lm" | "causal-lm";

/** How a sequence becomes one vector for classification. */
export type Pooling = "first" | "mean" | "last";

/** The layers between the last hidden state and the logits, as data. */
export type HeadSpec =
  | {
      readonly kind: "classifier";
      readonly pooling: Pooling;
      /** A dense layer with tanh before the classifier (BERT's pooler). */
      readonly pooler?: string;
      readonly classifier: string;
      readonly bias: boolean;
    }
  | {
      readonly kind: "lm";
      /** Dense, activation and norm before the vocabulary product (BERT's prediction transform). */
      readonly transform?: { dense: string; norm: string; activation: ActivationName };
      /** Separate output weights; absent when tied to the token embedding. */
      readonly decoder?: string;
      readonly bias?: string;
    };

/** A family: everything that tells one architecture of the Hugging Face zoo from another. */
export interface ModelFamily {
  /** `model_type` of config.json. */
  readonly modelType: string;
  readonly tasks: readonly Task[];
  /** Reads the sizes out of config.json. Throws CheckpointError naming the key. */
  architecture(config: ConfigReader): Architecture;
  readonly names: ParameterNames;
  /** Where the prunable units of each kind stand. A layer is pruned on one side only. */
  readonly units: Readonly<Record<UnitKind, UnitLayers>>;
  head(task: Task, config: ConfigReader): HeadSpec;
  /** `architectures` entry that transformers would write for the task. */
  readonly className: Readonly<Partial<Record<Task, string>>>;
  /** A prefix that encoder-only checkpoints leave out. */
  readonly optionalPrefix: string;
  /** Names in checkpoints that are fine to leave unread: other tasks' heads, buffers. */
  readonly ignorable: readonly RegExp[];
  /** Module names that "lora targets: default" stands for. */
  readonly defaultTargets: readonly string[];
}

/** Typed access to config.json whose errors name the file, the key, expected and got. */
export interface ConfigReader {
  int(key: string, fallback?: number): number;
  number(key: string, fallback?: number): number;
  boolean(key: string, fallback: boolean): boolean;
  choice<T extends string>(key: string, choices: readonly T[], fallback?: T): T;
  has(key: string): boolean;
  /** A nested object's settings; an empty reader where the key is absent. */
  section(key: string): ConfigReader;
  /** Refuses a setting that this engine does not implement, instead of computing something else. */
  refuse(key: string, reason: string): never;
}
