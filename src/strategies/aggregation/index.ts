/** The aggregators by name: the one list to extend. */
import type { Aggregator } from "./aggregator.ts";
import { fedAvg } from "./fed-avg.ts";
import { loraStack } from "./lora-stack.ts";

export const aggregators: Readonly<Record<string, Aggregator>> = {
  [fedAvg.name]: fedAvg,
  [loraStack.name]: loraStack,
};
