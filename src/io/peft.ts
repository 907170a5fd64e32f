/** LoRA adapters in the files of PEFT: adapter_config.json and adapter_model.safetensors. */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { shapeText, type HostArray, type NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { readJsonObject, writeJson } from "./json.ts";
import { formatPeftConfig, parsePeftConfig, patternEntry, type PeftConfig } from "./peft-config.ts";
import { readAll, Safetensors } from "./safetensors.ts";
import { writeSafetensors, type SafetensorsOptions } from "./safetensors-writer.ts";

/** An adapter and everything that attaching it takes. */
export interface PeftAdapter {
  readonly rank: number;
  /** A pair of rank r counts alpha / r times. */
  readonly alpha: number;
  /** Module-name suffixes, or full module names where suffixes alone would not do. */
  readonly targets: readonly string[];
  /** Ranks of single modules by full name, where they are not `rank`. */
  readonly rankPattern: Readonly<Record<string, number>>;
  /** Alphas of single modules by full name, where they are not `alpha`. */
  readonly alphaPattern: Readonly<Record<string, number>>;
  readonly dropout: number;
  /** PEFT's name of the task, such as SEQ_CLS or CAUSAL_LM. */
  readonly taskType: string | null;
  /** Modules that were trained in full; their tensors are in `tensors` under their own names. */
  readonly modulesToSave: readonly string[];
  /** Name or path of the base model. */
  readonly baseModel: string | null;
  /** `<module>.lora_A.weight` [R, in], `<module>.lora_B.weight` [out, R] and the saved modules. */
  readonly tensors: NamedArrays;
}

const modelFile = "adapter_model.safetensors";
const configFile = "adapter_config.json";
const peftPrefix = "base_model.model.";
const factor = /^(.+)\.lora_([AB])\.weight$/;

/**
 * Reads an adapter folder of PEFT, or a safetensors file with the factors. A file without an
 * adapter_config.json next to it does not state its alpha: `bareAlpha` does, and every tensor that
 * is no factor counts as a saved module. Throws CheckpointError naming the file and field or tensor.
 */
export function readPeftAdapter(path: string, bareAlpha?: number): PeftAdapter {
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const weightsPath = isFolder ? join(path, modelFile) : path;
  const configPath = join(isFolder ? path : dirname(path), configFile);
  const tensors = readTensors(weightsPath);
  const ranks = moduleRanks(tensors, weightsPath);
  if (!isFolder && (basename(path) !== modelFile || !existsSync(configPath))) {
    return fromBareFile(tensors, ranks, bareAlpha, path);
  }
  const config = parsePeftConfig(readJsonObject(configPath), configPath);
  checkSavedModules(tensors, config.modulesToSave, weightsPath);
  const alphas = new Map<string, number>();
  for (const [module, rank] of ranks) {
    const expected = patternEntry(config.rankPattern, module, config.rank, configPath);
    if (rank !== expected) {
      throw new CheckpointError(`${weightsPath}: tensor ${module}.lora_A.weight: rank`, {
        expected: `${expected} by ${configFile}`,
        got: String(rank),
      });
    }
    const alpha = patternEntry(config.alphaPattern, module, config.alpha, configPath);
    alphas.set(module, plainAlpha(alpha, rank, config));
  }
  const alpha = plainAlpha(config.alpha, config.rank, config);
  return {
    rank: config.rank,
    alpha,
    targets: targetNames(config, ranks),
    rankPattern: exceptions(ranks, config.rank),
    alphaPattern: exceptions(alphas, alpha),
    dropout: config.dropout,
    taskType: config.taskType,
    modulesToSave: config.modulesToSave,
    baseModel: config.baseModel,
    tensors,
  };
}

/** Writes a folder that PEFT loads with `PeftModel.from_pretrained(base, folder)`. */
export function writePeftAdapter(
  folder: string,
  adapter: PeftAdapter,
  options: Pick<SafetensorsOptions, "dtype"> = {},
): void {
  const prefixed: NamedArrays = new Map(
    [...adapter.tensors].map(([name, array]) => [peftPrefix + name, array]),
  );
  writeSafetensors(join(folder, modelFile), prefixed, options);
  writeJson(join(folder, configFile), formatPeftConfig({ ...adapter, isRankStabilised: false }));
}

function fromBareFile(
  tensors: NamedArrays,
  ranks: ReadonlyMap<string, number>,
  alpha: number | undefined,
  path: string,
): PeftAdapter {
  if (alpha === undefined) {
    throw new CheckpointError(`${path} does not state its alpha`, {
      expected: `${configFile} and ${modelFile} in one folder, or an alpha given with the file`,
    });
  }
  const rank = Math.max(...ranks.values());
  const saved = [...tensors.keys()].filter((name) => !factor.test(name));
  return {
    rank,
    alpha,
    targets: [...ranks.keys()],
    rankPattern: exceptions(ranks, rank),
    alphaPattern: {},
    dropout: 0,
    taskType: null,
    modulesToSave: [...new Set(saved.map((name) => name.slice(0, name.lastIndexOf("."))))],
    baseModel: null,
    tensors,
  };
}

function readTensors(path: string): NamedArrays {
  const file = Safetensors.open(path);
  try {
    return new Map([...readAll(file)].map(([key, array]) => [plainName(key), array]));
  } finally {
    file.close();
  }
}

/** PEFT's key without its prefix and without the adapter name that a raw state dict has. */
function plainName(key: string): string {
  const name = key.startsWith(peftPrefix) ? key.slice(peftPrefix.length) : key;
  return name
    .replace(/\.(lora_[AB])\.[^.]+\.weight$/, ".$1.weight")
    .replace(/\.modules_to_save(?:\.default)?\./, ".");
}

/** The rank of every adapted module; both factors must be there and agree. */
function moduleRanks(tensors: NamedArrays, origin: string): Map<string, number> {
  const ranks = new Map<string, number>();
  for (const [name, { shape }] of tensors) {
    const [, module, letter] = factor.exec(name) ?? [];
    if (module === undefined) {
      if (!name.includes(".lora_")) continue;
      throw new CheckpointError(`${origin}: tensor ${name} is not supported`, {
        expected: "lora_A.weight and lora_B.weight of linear layers",
      });
    }
    const partnerName = `${module}.lora_${letter === "A" ? "B" : "A"}.weight`;
    const partner: HostArray | undefined = tensors.get(partnerName);
    const [a, b] = letter === "A" ? [shape, partner?.shape] : [partner?.shape, shape];
    if (a?.length !== 2 || b?.length !== 2 || a[0] !== b[1] || !((a[0] as number) > 0)) {
      throw new CheckpointError(`${origin}: the factors of ${module} do not fit together`, {
        expected: "lora_A.weight [rank, in] and lora_B.weight [out, rank]",
        got: [a, b].map((side) => (side === undefined ? "nothing" : shapeText(side))).join(" and "),
      });
    }
    ranks.set(module, a[0] as number);
  }
  if (ranks.size > 0) return ranks;
  throw new CheckpointError(`${origin} holds no LoRA factors`, {
    expected: "tensors named <module>.lora_A.weight and <module>.lora_B.weight",
    got: [...tensors.keys()].slice(0, 3).join(", ") || "no tensors",
  });
}

function checkSavedModules(
  tensors: NamedArrays,
  modulesToSave: readonly string[],
  origin: string,
): void {
  for (const name of tensors.keys()) {
    if (factor.test(name)) continue;
    const path = `.${name}.`;
    if (modulesToSave.some((module) => path.includes(`.${module}.`))) continue;
    throw new CheckpointError(`${origin}: tensor ${name} is not accounted for`, {
      expected: `a LoRA factor or a module of modules_to_save (${modulesToSave.join(", ") || "none"})`,
    });
  }
}

function plainAlpha(alpha: number, rank: number, { isRankStabilised }: PeftConfig): number {
  return isRankStabilised ? alpha * Math.sqrt(rank) : alpha;
}

/** A list of suffixes is kept; everything else is resolved to the modules that have factors. */
function targetNames(config: PeftConfig, ranks: ReadonlyMap<string, number>): readonly string[] {
  const { targets } = config;
  if (targets !== undefined && typeof targets !== "string" && !config.narrowsTargets)
    return targets;
  return [...ranks.keys()];
}

function exceptions(
  values: ReadonlyMap<string, number>,
  usual: number,
): Readonly<Record<string, number>> {
  return Object.fromEntries([...values].filter(([, value]) => value !== usual));
}
