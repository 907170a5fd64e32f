/** `fedspine merge`: fold an adapter into its base and write a plain model folder. */
import { Command } from "commander";
import type { SavedForm } from "../../models/save.ts";
import { openSession } from "../model-session.ts";
import { kernelsOption, structureOption, type KernelChoice } from "../options.ts";
import { print } from "../output.ts";
import { formOption, weightTypeOption, writeModel, type WeightType } from "../saved-forms.ts";

interface Options {
  model: string;
  adapter: string;
  structure?: string;
  out: string;
  form: SavedForm;
  dtype: WeightType;
  kernels: KernelChoice;
}

export function command(): Command {
  return new Command()
    .description("Fold an adapter into its base and write a plain Hugging Face folder")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .requiredOption("--adapter <path>", "PEFT folder or a safetensors file with LoRA factors")
    .addOption(structureOption())
    .requiredOption("--out <dir>", "folder to write")
    .addOption(formOption())
    .addOption(weightTypeOption())
    .addOption(kernelsOption())
    .action(run);
}

function run(options: Options): void {
  const session = openSession(options);
  session.adapted?.lora.merge();
  writeModel(session, options.out, { ...options, tokenizerFolder: options.model });
  print(`wrote ${options.out}: ${options.model} with ${options.adapter} folded in`);
}
