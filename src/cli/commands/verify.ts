/** `fedspine verify`: does a pruned model say the same after it was written and read back, in every form? */
import Table from "cli-table3";
import { Command } from "commander";
import { ExitCode } from "../../base/errors.ts";
import { checkForms, TOLERANCES } from "../form-check.ts";
import { integer, kernelsOption, structureOption, type KernelChoice } from "../options.ts";
import { byteText, print, printJson } from "../output.ts";
import { weightTypeOption, type WeightType } from "../saved-forms.ts";

interface Options {
  adapter?: string;
  structure?: string;
  dtype: WeightType;
  seed: number;
  kernels: KernelChoice;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("Write a model in every form, read each back, and compare the logits")
    .argument("<model>", "Hugging Face model folder")
    .option("--adapter <path>", "PEFT folder or a safetensors file with LoRA factors")
    .addOption(structureOption())
    .addOption(weightTypeOption())
    .option("--seed <n>", "seed of the sample ids", integer(0), 1)
    .addOption(kernelsOption())
    .option("--json", "one JSON line")
    .action(run);
}

function run(model: string, { dtype, seed, json, ...rest }: Options): void {
  const forms = checkForms({ ...rest, model }, dtype, seed);
  const isSame = forms.every((form) => form.isSame);
  if (json === true) printJson({ ok: isSame, tolerance: TOLERANCES[dtype], forms });
  else {
    const table = new Table({
      head: ["form", "size", "largest difference", ""],
      style: { head: [], border: [] },
      colAligns: ["left", "right", "right", "left"],
    });
    for (const { form, bytes, difference, isSame: isFormSame } of forms) {
      const verdict = isFormSame ? "the same" : "DIFFERS";
      table.push([form, byteText(bytes), difference.toExponential(1), verdict]);
    }
    print(table.toString());
  }
  if (!isSame) process.exitCode = ExitCode.failed;
}
