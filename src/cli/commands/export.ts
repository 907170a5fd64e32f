/** `fedspine export`: write a pruned model, and its adapter beside it, so that it loads elsewhere. */
import { Command } from "commander";
import type { SavedForm } from "../../models/save.ts";
import { bodySparsity } from "../../cost/parameters.ts";
import { openSession } from "../model-session.ts";
import { kernelsOption, structureOption, type KernelChoice } from "../options.ts";
import { percent, print } from "../output.ts";
import {
  adapterFolder,
  formOption,
  weightTypeOption,
  writeAdapter,
  writeModel,
  type WeightType,
} from "../saved-forms.ts";

interface Options {
  model: string;
  adapter?: string;
  structure?: string;
  out: string;
  form: SavedForm;
  dtype: WeightType;
  kernels: KernelChoice;
}

export function command(): Command {
  return new Command()
    .description("Write a pruned model, and its adapter beside it, so that it loads elsewhere")
    .requiredOption("--model <dir>", "Hugging Face model folder")
    .option("--adapter <path>", "PEFT folder; one that was trained pruned brings its structure")
    .addOption(structureOption())
    .requiredOption("--out <dir>", "folder to write")
    .addOption(formOption())
    .addOption(weightTypeOption())
    .addOption(kernelsOption())
    .action(run);
}

function run(options: Options): void {
  const session = openSession(options);
  const { shape, structure } = session.model;
  const { out, form, dtype, model: tokenizerFolder } = options;
  writeModel(session, out, { form, dtype, tokenizerFolder });
  writeAdapter(session, out, form);
  print(`wrote ${out}: ${form}, ${percent(bodySparsity(shape, structure))} of the body pruned`);
  if (session.adapted !== null) print(`wrote ${adapterFolder(out)}: the adapter of it`);
}
