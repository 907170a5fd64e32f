/** What a fleet is made of: boards and links with their shares, as a file describes them. */
import * as v from "valibot";
import { parseSettings } from "../base/settings.ts";

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
const notNegative = v.pipe(v.number(), v.finite(), v.minValue(0));
const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const name = v.pipe(v.string(), v.nonEmpty(), v.maxLength(100));

/** A number, or the two ends of a uniform distribution. */
const range = <S extends v.GenericSchema<number, number>>(number: S) =>
  v.union([
    number,
    v.pipe(
      v.tuple([number, number]),
      v.check(([low, high]) => low <= high, "the lower end first"),
    ),
  ]);

const behaviour = {
  /** Standard deviation of the logarithm of a factor on each round's training time. */
  jitter: v.optional(notNegative, 0.05),
  /** Chance that the device vanishes while it trains for a round; it is back for the next one. */
  dropoutProbability: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 0),
  /** On for `onShare` of each period, at a phase of its own; always on where absent. */
  dutyCycle: v.exactOptional(
    v.strictObject({ onShare: v.pipe(positive, v.maxValue(1)), periodSeconds: positive }),
  ),
};

const boardSchema = v.strictObject({
  type: name,
  /** Devices of this kind, in proportion to the other boards. */
  count: whole,
  cores: v.optional(whole, 4),
  memoryBytes: whole,
  /** Training time per billion operations as src/cost counts them; from a range each device draws once. */
  secondsPerGflop: range(positive),
  /** Power modes: factors on the training time, of which each device draws one every `modeRounds` rounds. */
  modes: v.optional(v.pipe(v.array(positive), v.minLength(1)), [1]),
  modeRounds: v.optional(whole, 20),
  ...behaviour,
  /** Where the figures are from. */
  source: v.optional(v.string(), ""),
});

const linkSchema = v.strictObject({
  name,
  count: whole,
  /** From a range each device draws anew every round. */
  upMegabitsPerSecond: range(positive),
  downMegabitsPerSecond: range(positive),
  latencyMs: v.optional(range(notNegative), 5),
  source: v.optional(v.string(), ""),
});

const fleetSchema = v.strictObject({
  boards: v.pipe(v.array(boardSchema), v.minLength(1)),
  links: v.pipe(v.array(linkSchema), v.minLength(1)),
});

/** A number, or the ends of a range to draw from. */
export type NumberOrRange = number | [number, number];
export type Board = v.InferOutput<typeof boardSchema>;
export type FleetLink = v.InferOutput<typeof linkSchema>;
export type FleetProfile = v.InferOutput<typeof fleetSchema>;
export type FleetProfileInput = v.InferInput<typeof fleetSchema>;

/** Fills in defaults. Throws ConfigError naming the first wrong key of `origin`. */
export function parseFleetProfile(origin: string, input: unknown): FleetProfile {
  return parseSettings(origin, fleetSchema, input);
}

/** The settings of behaviour that a simulation may lay over every board of its fleet. */
export const behaviourOverrides = v.strictObject({
  jitter: v.exactOptional(notNegative),
  dropoutProbability: v.exactOptional(v.pipe(v.number(), v.minValue(0), v.maxValue(1))),
  dutyCycle: behaviour.dutyCycle,
  memoryBytes: v.exactOptional(whole),
  secondsPerGflop: v.exactOptional(range(positive)),
  upMegabitsPerSecond: v.exactOptional(range(positive)),
  downMegabitsPerSecond: v.exactOptional(range(positive)),
  latencyMs: v.exactOptional(range(notNegative)),
});
