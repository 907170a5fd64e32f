/** `fedspine generate`: continue a prompt with a causal model. */
import { Command } from "commander";
import type { ThreadChoice } from "../../backend/threads/load.ts";
import type { BaseDtype } from "../../base/base-dtype.ts";
import { Rng } from "../../base/rng.ts";
import { generate } from "../../models/generate.ts";
import { openSession } from "../model-session.ts";
import {
  baseDtypeOption,
  integer,
  kernelsOption,
  number,
  structureOption,
  threadsOption,
  type KernelChoice,
} from "../options.ts";
import { note, print, printJson } from "../output.ts";

interface Options {
  model: string;
  adapter?: string;
  structure?: string;
  prompt: string;
  maxTokens: number;
  temperature: number;
  seed: number;
  kernels: KernelChoice;
  baseDtype: BaseDtype;
  threads: ThreadChoice;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Continue a prompt, token by token, with a key-value cache")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .option("--adapter <path>", "PEFT folder or a safetensors file with LoRA factors")
    .addOption(structureOption())
    .option("--prompt <text>", "text to continue", "")
    .option("--max-tokens <n>", "tokens to add at most", integer(1), 100)
    .option("--temperature <t>", "0 takes the likeliest token", number(0), 0)
    .option("--seed <n>", "seed of the draws", integer(0), 1)
    .addOption(kernelsOption("auto"))
    .addOption(baseDtypeOption())
    .addOption(threadsOption("auto"))
    .option("--json", "one JSON line: prompt_ids, ids, text, tokens_per_second")
    .action(run);
}

function run(options: Options): void {
  const session = openSession({ ...options, task: "causal-lm" });
  const tokenizer = session.tokenizer();
  const promptIds = promptOf(options.prompt, tokenizer);
  const startMs = performance.now();
  const ids = [
    ...generate(session.model, promptIds, {
      maxTokens: options.maxTokens,
      temperature: options.temperature,
      rng: Rng.fromSeed(options.seed),
      stopIds: [tokenizer.special.eos, tokenizer.special.bos].filter((id) => id !== undefined),
    }),
  ];
  const tokensPerSecond = (1000 * ids.length) / (performance.now() - startMs);
  const text = tokenizer.decode([...promptIds, ...ids]);
  if (options.json === true) {
    return printJson({ prompt_ids: promptIds, ids, text, tokens_per_second: tokensPerSecond });
  }
  print(text);
  note(`${ids.length} tokens, ${tokensPerSecond.toFixed(0)} per second`);
}

/** The prompt's ids without a closing token; an empty prompt is the start token alone. */
function promptOf(
  prompt: string,
  tokenizer: ReturnType<ReturnType<typeof openSession>["tokenizer"]>,
): number[] {
  const { eos, sep, bos, cls } = tokenizer.special;
  const ids = tokenizer.encode(prompt).ids;
  while (ids.length > 1 && (ids.at(-1) === eos || ids.at(-1) === sep)) ids.pop();
  const start = bos ?? cls;
  return ids.length === 0 && start !== undefined ? [start] : ids;
}
