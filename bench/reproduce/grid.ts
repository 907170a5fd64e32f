/** Which runs there are, in the order in which they tell most, and which of them a table compares. */
import type { Cell, CellSettings, Scale } from "./cells.ts";
import { isPruned, methods, type Method, type MethodSettings } from "./methods.ts";

/** Runs that are compared with each other: one table. */
export interface Block {
  readonly id: string;
  readonly kind: "methods" | "ablation";
  /** Blocks of one stage tell equally much. */
  readonly stage: number;
  /** What varies. */
  readonly title: string;
  readonly dataset: string;
  readonly alpha: number;
  readonly sparsity: number;
  readonly rows: readonly {
    /** Of a method, or of a variant of FedSpine. */
    readonly id: string;
    readonly name: string;
    /** One per seed. */
    readonly cells: readonly Cell[];
  }[];
}

type PlainBlock = Omit<Block, "stage">;

export interface GridOptions {
  readonly scale: Scale;
  readonly datasets: readonly string[];
  readonly seeds: readonly number[];
  /** Chosen learning rate of a method on a data set. */
  readonly rateOf: (dataset: string, methodId: string) => number;
}

const ALPHAS = [1, 0.1, 10];
const SPARSITIES = [0.5, 0.3, 0.6];
const FLEET = "jetson-80";

/** All blocks: the centre of the grid first, then sparsities, then splits, then what FedSpine is made of. */
export function gridOf(options: GridOptions): Block[] {
  const [centreAlpha = 1, ...alphas] = ALPHAS;
  const [centre = 0.5, ...sparsities] = SPARSITIES;
  const { datasets } = options;
  const stages: ((dataset: string) => PlainBlock)[] = [
    (dataset) => methodBlock(options, dataset, centreAlpha, centre),
  ];
  if (options.scale.name === "full") {
    for (const sparsity of sparsities) {
      stages.push((dataset) => methodBlock(options, dataset, centreAlpha, sparsity));
    }
    for (const alpha of alphas) {
      stages.push((dataset) => methodBlock(options, dataset, alpha, centre));
    }
    for (const ablation of ablations) {
      stages.push((dataset) => ablationBlock(options, ablation, dataset, centreAlpha, centre));
    }
  }
  return stages.flatMap((make, stage) => datasets.map((dataset) => ({ stage, ...make(dataset) })));
}

/** Every cell in the order of stages; within a stage all blocks of a seed before the next seed. */
export function cellsInOrder(blocks: readonly Block[]): Cell[] {
  const stages = [...new Set(blocks.map(({ stage }) => stage))].sort((a, b) => a - b);
  return stages.flatMap((wanted) => {
    const rows = blocks.filter(({ stage }) => stage === wanted).flatMap((block) => block.rows);
    const numSeeds = Math.max(0, ...rows.map(({ cells }) => cells.length));
    return Array.from({ length: numSeeds }, (_, seed) =>
      rows.flatMap(({ cells }) => cells[seed] ?? []),
    ).flat();
  });
}

/** Short runs that choose the learning rate of a method on a data set, on a seed of their own. */
export function tuningCells(
  scale: Scale,
  dataset: string,
  { id, settings }: Method,
  rates: readonly number[],
): Cell[] {
  return rates.map((learningRate) => ({
    label: `${dataset}/tuning/${id}/rate-${learningRate}`,
    settings: {
      ...shared(tuningScale(scale), dataset, 1, TUNING_SEED),
      learningRate,
      method: settings(0.5),
    },
  }));
}

const TUNING_SEED = 1001;
const TUNING_TESTS = 300;

/** Shorter, with a fifth of the fleet and as many examples per device, and scored once. */
function tuningScale(scale: Scale): Scale {
  const rounds = scale.tuningRounds;
  return {
    ...scale,
    ...{ rounds, evaluateEvery: rounds, testExamples: TUNING_TESTS },
    devices: Math.round(scale.devices / 5),
    trainExamples: Math.round(scale.trainExamples / 5),
  };
}

function methodBlock(
  { scale, seeds, rateOf }: GridOptions,
  dataset: string,
  alpha: number,
  sparsity: number,
): PlainBlock {
  return {
    id: blockId(dataset, alpha, sparsity, "methods"),
    kind: "methods",
    title: "Methods",
    ...{ dataset, alpha, sparsity },
    rows: methods.map((method) => ({
      id: method.id,
      name: method.name,
      cells: seeds.map((seed) => ({
        // An unpruned run is the same at every sparsity and is called so.
        label: `${dataset}/a${alpha}/s${isPruned(method) ? 100 * sparsity : 0}/${method.id}/seed${seed}`,
        settings: {
          ...shared(scale, dataset, alpha, seed),
          learningRate: rateOf(dataset, method.id),
          method: method.settings(sparsity),
        },
      })),
    })),
  };
}

interface Ablation {
  readonly id: string;
  readonly title: string;
  readonly variants: readonly {
    readonly id: string;
    readonly name: string;
    readonly method?: (settings: MethodSettings, sparsity: number) => MethodSettings;
    readonly scale?: (scale: Scale) => Scale;
  }[];
}

/** Each takes FedSpine and changes one thing; the variant that changes nothing is FedSpine's own run. */
const ablations: readonly Ablation[] = [
  {
    id: "interval",
    title: "Local steps between two prunings, with the same number of steps in all",
    variants: [5, 10, 20, 40].map((steps) => ({
      id: `steps-${steps}`,
      name: `${steps} steps`,
      scale: (scale: Scale): Scale => {
        const factor = scale.steps / steps;
        return {
          ...scale,
          steps,
          rounds: Math.round(scale.rounds * factor),
          evaluateEvery: Math.max(1, Math.round(scale.evaluateEvery * factor)),
        };
      },
    })),
  },
  {
    id: "scores",
    title: "Scores of heads and channels",
    variants: (["fisher", "lora-prune", "magnitude", "activation", "random"] as const).map(
      (score) => ({
        id: `score-${score}`,
        name: score,
        method: (settings: MethodSettings, final: number): MethodSettings => ({
          ...settings,
          pruning: { ...settings.pruning, final, score },
        }),
      }),
    ),
  },
  {
    id: "aggregation",
    title: "Aggregation",
    variants: (["lora-residual", "lora-stack", "flex-lora", "het-lora"] as const).map((kind) => ({
      id: `aggregation-${kind}`,
      name: kind,
      method: (settings: MethodSettings): MethodSettings => ({
        ...settings,
        aggregation: { kind },
      }),
    })),
  },
  {
    id: "controllers",
    title: "Controllers",
    variants: (["s-ucb", "hybrid", "model-based", "random", "fixed"] as const).map((kind) => ({
      id: `controller-${kind}`,
      name: kind,
      method: (settings: MethodSettings): MethodSettings => ({ ...settings, controller: { kind } }),
    })),
  },
];

function ablationBlock(
  { scale, seeds, rateOf }: GridOptions,
  ablation: Ablation,
  dataset: string,
  alpha: number,
  sparsity: number,
): PlainBlock {
  const [ours] = methods;
  const plain = ours?.settings(sparsity) ?? {};
  return {
    id: blockId(dataset, alpha, sparsity, ablation.id),
    kind: "ablation",
    title: ablation.title,
    ...{ dataset, alpha, sparsity },
    rows: ablation.variants.map((variant) => ({
      id: variant.id,
      name: variant.name,
      cells: seeds.map((seed) => ({
        label: `${dataset}/a${alpha}/s${100 * sparsity}/${variant.id}/seed${seed}`,
        settings: {
          ...shared(variant.scale?.(scale) ?? scale, dataset, alpha, seed),
          learningRate: rateOf(dataset, ours?.id ?? ""),
          method: variant.method?.(plain, sparsity) ?? plain,
        },
      })),
    })),
  };
}

function shared(
  { name: _name, tuningRounds: _tuning, ...scale }: Scale,
  dataset: string,
  alpha: number,
  seed: number,
): Omit<CellSettings, "learningRate" | "method"> {
  return { version: 2, dataset, alpha, seed, fleet: FLEET, scale };
}

function blockId(dataset: string, alpha: number, sparsity: number, what: string): string {
  return `${dataset}-a${alpha}-s${100 * sparsity}-${what}`;
}
