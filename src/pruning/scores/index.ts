/** The importance scores by name: the one list to extend. */
import { activationScorer } from "./activation.ts";
import { fisherScorer } from "./fisher.ts";
import { loraPruneScorer } from "./lora-prune.ts";
import { magnitudeScorer } from "./magnitude.ts";
import { randomScorer } from "./random.ts";

export const scorers = {
  fisher: fisherScorer,
  "lora-prune": loraPruneScorer,
  magnitude: magnitudeScorer,
  activation: activationScorer,
  random: randomScorer,
} as const;
