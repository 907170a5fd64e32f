/** The examples of a simulation: loaded or generated, limited, and dealt out to the devices. */
import { Rng } from "../base/rng.ts";
import { loadDataset } from "../data/dataset.ts";
import type { Dataset, Example } from "../data/examples.ts";
import { labelSkew, partition } from "../data/partition.ts";
import { generateEvents } from "../demo-data/events.ts";
import { EVENT_LABELS } from "../demo-data/tables.ts";
import type { SimulationConfig } from "./config.ts";

export interface SimulationData {
  readonly labels: readonly string[];
  /** By device index. */
  readonly parts: readonly (readonly Example[])[];
  readonly test: readonly Example[];
  /** How the data were read and dealt, one sentence each. */
  readonly notes: readonly string[];
}

const DEMO_TRAIN = 4000;
const DEMO_TEST = 400;

/** Throws DataError or ConfigError. */
export function simulationData({
  data,
  seed,
  fleet,
  partition: plan,
}: SimulationConfig): SimulationData {
  const { train, test, notes } =
    data.source === "demo" ? demoData(data, seed) : ownData(data, seed);
  const rng = Rng.fromSeed(`${seed}/data`);
  const examples = some(train.examples, data.maxExamples, rng.fork("train"));
  const parts = partition(examples, fleet.devices, plan, rng.fork("deal"));
  const sizes = parts.map(({ indices }) => indices.length);
  const skew = labelSkew(examples, parts).toFixed(2);
  return {
    labels: train.labels,
    parts: parts.map(({ indices }) => indices.map((index) => examples[index] as Example)),
    test: some(test.examples, data.maxTestExamples, rng.fork("test")),
    notes: [
      ...notes,
      `dealt out: ${plan.kind}, ${Math.min(...sizes)} to ${Math.max(...sizes)} examples a device, label skew ${skew}`,
    ],
  };
}

interface Loaded {
  readonly train: Dataset;
  readonly test: Dataset;
  readonly notes: readonly string[];
}

function demoData(
  { maxExamples, maxTestExamples }: SimulationConfig["data"],
  seed: number,
): Loaded {
  const count = maxExamples ?? DEMO_TRAIN;
  const train = generateEvents({ seed, count, part: "train" });
  const test = generateEvents({ seed, count: maxTestExamples ?? DEMO_TEST, part: "test" });
  return {
    train: { examples: train, labels: EVENT_LABELS },
    test: { examples: test, labels: EVENT_LABELS },
    notes: [`data: generated gateway events, ${train.length} to train and ${test.length} to test`],
  };
}

function ownData(
  { source, testShare, textColumn, labelColumn, groupColumn }: SimulationConfig["data"],
  seed: number,
): Loaded {
  const columns = {
    ...(textColumn === undefined ? {} : { textColumn }),
    ...(labelColumn === undefined ? {} : { labelColumn }),
    ...(groupColumn === undefined ? {} : { groupColumn }),
  };
  const loaded = loadDataset(source, { seed, testRatio: testShare, ...columns });
  const { train, test, split, notes } = loaded;
  return { train, test, notes: [`data: ${source}`, loaded.columns, split, ...notes] };
}

/** At most `limit` of the examples, by chance and in their order. */
function some(
  examples: readonly Example[],
  limit: number | undefined,
  rng: Rng,
): readonly Example[] {
  if (limit === undefined || examples.length <= limit) return examples;
  const places = rng.shuffle(examples.map((_, i) => i)).slice(0, limit);
  return places.sort((a, b) => a - b).map((place) => examples[place] as Example);
}
