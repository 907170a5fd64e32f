/** The aggregators by name: the one list to extend. */
import type { Aggregator } from "./aggregator.ts";
import { centredClipping } from "./centred-clipping.ts";
import { coordinateMedian } from "./coordinate-median.ts";
import { fedAvg } from "./fed-avg.ts";
import { ffaLora } from "./ffa-lora.ts";
import { flexLora } from "./flex-lora.ts";
import { flora } from "./flora.ts";
import { hetLora } from "./het-lora.ts";
import { loraResidual } from "./lora-residual.ts";
import { loraStack } from "./lora-stack.ts";
import { r2sp } from "./r2sp.ts";
import { trimmedMean } from "./trimmed-mean.ts";

const rules = [
  loraStack,
  loraResidual,
  fedAvg,
  ffaLora,
  flexLora,
  flora,
  hetLora,
  r2sp,
  trimmedMean,
  coordinateMedian,
  centredClipping,
];

export const aggregators: Readonly<Record<string, Aggregator>> = Object.fromEntries(
  rules.map((rule) => [rule.name, rule]),
);
