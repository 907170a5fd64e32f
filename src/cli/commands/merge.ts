/** `fedspine merge`: fold an adapter into its base and write a plain model folder. */
import { Command, Option } from "commander";
import { saveModel } from "../../models/load.ts";
import { openSession } from "../model-session.ts";
import { kernelsOption, type KernelChoice } from "../options.ts";
import { print } from "../output.ts";

interface Options {
  model: string;
  adapter: string;
  out: string;
  dtype: "f32" | "f16";
  kernels: KernelChoice;
}

export function command(): Command {
  return new Command()
    .description("Fold an adapter into its base and write a plain Hugging Face folder")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .requiredOption("--adapter <path>", "PEFT folder or a safetensors file with LoRA factors")
    .requiredOption("--out <dir>", "folder to write")
    .addOption(
      new Option("--dtype <type>", "type of the written weights")
        .choices(["f32", "f16"])
        .default("f32"),
    )
    .addOption(kernelsOption())
    .action(run);
}

function run(options: Options): void {
  const { adapted, model } = openSession(options);
  adapted?.lora.merge();
  saveModel(model, options.out, {
    dtype: options.dtype === "f16" ? "F16" : "F32",
    tokenizerFolder: options.model,
  });
  print(`wrote ${options.out}: ${options.model} with ${options.adapter} folded in`);
}
