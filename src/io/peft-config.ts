/** The adapter_config.json of PEFT: what is read of it, what is refused, what is written. */
import * as v from "valibot";
import { CheckpointError } from "../base/errors.ts";

/** The fields of a LoRA adapter_config.json that decide what the adapter computes. */
export interface PeftConfig {
  readonly rank: number;
  readonly alpha: number;
  /** Suffixes, a regular expression or "all-linear"; absent where PEFT chose by model type. */
  readonly targets: string | readonly string[] | undefined;
  /** Whether further fields narrow the targets down, so that they alone do not name the modules. */
  readonly narrowsTargets: boolean;
  readonly rankPattern: Readonly<Record<string, number>>;
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly dropout: number;
  /** The pair counts alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023). */
  readonly isRankStabilised: boolean;
  readonly taskType: string | null;
  readonly modulesToSave: readonly string[];
  readonly baseModel: string | null;
}

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const rank = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const absent = v.nullish(v.unknown());

const schema = v.object({
  peft_type: v.literal("LORA"),
  r: rank,
  lora_alpha: positive,
  target_modules: v.nullish(v.union([v.string(), v.array(v.string())])),
  rank_pattern: v.nullish(v.record(v.string(), rank), {}),
  alpha_pattern: v.nullish(v.record(v.string(), positive), {}),
  lora_dropout: v.nullish(v.pipe(v.number(), v.minValue(0), v.ltValue(1)), 0),
  use_rslora: v.nullish(v.boolean(), false),
  task_type: v.nullish(v.string()),
  modules_to_save: v.nullish(v.array(v.string()), []),
  base_model_name_or_path: v.nullish(v.string()),
  exclude_modules: absent,
  layers_to_transform: absent,
});

/**
 * Variants of LoRA that compute something else, or that start by changing the base (PiSSA, OLoRA,
 * CorDA, LoftQ); each is off at these values and when absent.
 */
const unsupported: Readonly<Record<string, readonly unknown[]>> = {
  bias: ["none"],
  fan_in_fan_out: [false],
  init_lora_weights: [true, false, "gaussian", "orthogonal", "eva"],
  use_dora: [false],
  use_qalora: [false],
  lora_bias: [false],
  layer_replication: [],
  target_parameters: [],
  trainable_token_indices: [],
  alora_invocation_tokens: [],
  use_bdlora: [],
  arrow_config: [],
  kasa_config: [],
  velora_config: [],
  monteclora_config: [],
};

/** Checks the content of an adapter_config.json. Throws CheckpointError naming the field. */
export function parsePeftConfig(values: Record<string, unknown>, origin: string): PeftConfig {
  for (const [key, offValues] of Object.entries(unsupported)) {
    const value = values[key] ?? null;
    const isOff = value === null || offValues.includes(value);
    if (isOff || (Array.isArray(value) && value.length === 0)) continue;
    throw new CheckpointError(`${origin}: ${key} is not supported`, {
      expected: offValues.map((off) => JSON.stringify(off)).join(" or ") || "null",
      got: JSON.stringify(value),
      hint: "train the adapter as plain LoRA on linear layers",
    });
  }
  const parsed = v.safeParse(schema, values);
  if (!parsed.success) {
    const { path, message } = parsed.issues[0];
    throw new CheckpointError(`${origin}: ${path?.map((item) => String(item.key)).join(".")}`, {
      expected: "a LoRA adapter_config.json as PEFT writes it",
      got: message,
    });
  }
  const { output } = parsed;
  return {
    rank: output.r,
    alpha: output.lora_alpha,
    targets: output.target_modules ?? undefined,
    narrowsTargets: (output.exclude_modules ?? output.layers_to_transform ?? null) !== null,
    rankPattern: output.rank_pattern,
    alphaPattern: output.alpha_pattern,
    dropout: output.lora_dropout,
    isRankStabilised: output.use_rslora,
    taskType: output.task_type ?? null,
    modulesToSave: output.modules_to_save,
    baseModel: output.base_model_name_or_path ?? null,
  };
}

/** The content of an adapter_config.json that PEFT loads. */
export function formatPeftConfig(config: Omit<PeftConfig, "narrowsTargets">): object {
  return {
    peft_type: "LORA",
    task_type: config.taskType,
    base_model_name_or_path: config.baseModel,
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    use_rslora: config.isRankStabilised,
    target_modules: config.targets,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    modules_to_save: config.modulesToSave.length > 0 ? config.modulesToSave : null,
    bias: "none",
    fan_in_fan_out: false,
    init_lora_weights: true,
    inference_mode: true,
  };
}

/**
 * The entry of a rank_pattern or alpha_pattern for a module: the first key that, as a regular
 * expression, matches the name or a suffix of it after a dot. Throws CheckpointError for a key that
 * is no regular expression here.
 */
export function patternEntry(
  patterns: Readonly<Record<string, number>>,
  module: string,
  fallback: number,
  origin: string,
): number {
  for (const [pattern, value] of Object.entries(patterns)) {
    let expression: RegExp;
    try {
      expression = new RegExp(`^(?:.*\\.)?(?:${pattern})$`);
    } catch (cause) {
      throw new CheckpointError(`${origin}: pattern ${pattern}`, {
        cause,
        expected: "a module name or a regular expression",
      });
    }
    if (expression.test(module)) return value;
  }
  return fallback;
}
