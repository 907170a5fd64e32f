/** `fedspine forward`: the logits of one input, to compare with other implementations. */
import { Command } from "commander";
import { Tape } from "../../autograd/tape.ts";
import type { BaseDtype } from "../../base/base-dtype.ts";
import { ConfigError } from "../../base/errors.ts";
import { packBatch } from "../../data/batch.ts";
import { nextTokenTargets } from "../../models/model.ts";
import { openSession } from "../model-session.ts";
import {
  baseDtypeOption,
  integerList,
  kernelsOption,
  structureOption,
  type KernelChoice,
} from "../options.ts";
import { print, printJson } from "../output.ts";
import { checkIds } from "../training-data.ts";

interface Options {
  model: string;
  adapter?: string;
  structure?: string;
  ids?: number[];
  text?: string;
  kernels: KernelChoice;
  baseDtype: BaseDtype;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Print the logits of one input: all classes, or the last position's vocabulary")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .option("--adapter <path>", "PEFT folder or a safetensors file with LoRA factors")
    .addOption(structureOption())
    .option("--ids <list>", "token ids, as 1,2,3", integerList)
    .option("--text <text>", "text for the model's tokenizer")
    .addOption(kernelsOption())
    .addOption(baseDtypeOption())
    .option("--json", "one JSON line: input_ids, logits and, for causal models, loss")
    .action(run);
}

function run(options: Options): void {
  const session = openSession(options);
  const { model, maxTokens } = session;
  const ids = options.ids ?? encode(options.text, session);
  checkIds([{ ids }], model.architecture.vocabSize);
  if (ids.length > maxTokens) {
    throw new ConfigError("forward: too many ids", {
      expected: `at most ${maxTokens}`,
      got: String(ids.length),
    });
  }
  const batch = packBatch([{ ids }]);
  const record = model.engine.step(() => {
    const tape = new Tape(model.engine, { recording: false });
    if (model.task === "classify") {
      return { input_ids: ids, logits: [...model.classLogits(tape, batch).f32] };
    }
    const logits = model.tokenLogits(tape, batch, [ids.length - 1]).f32;
    const record = { input_ids: ids, logits: [...logits] };
    if (model.task !== "causal-lm" || nextTokenTargets(batch).rows.length === 0) return record;
    const loss = model.loss(tape, batch, { kind: "next-token" }).f32[0];
    return { ...record, loss };
  });
  if (options.json === true) return printJson(record);
  print(`${ids.length} of at most ${maxTokens} tokens: ${ids.join(" ")}`);
  print(`logits: ${record.logits.map((value) => value.toFixed(6)).join(" ")}`);
  if ("loss" in record) print(`next-token loss: ${record.loss}`);
}

function encode(text: string | undefined, session: ReturnType<typeof openSession>): number[] {
  if (text === undefined) {
    throw new ConfigError("forward: there is no input", { expected: "--ids or --text" });
  }
  return session.tokenizer().encode(text, { maxTokens: session.maxTokens }).ids;
}
