/** The settings of a simulation, one YAML file: their meaning, limits and defaults. */
import * as v from "valibot";
import { baseDtypes } from "../base/base-dtype.ts";
import { ConfigError } from "../base/errors.ts";
import { parseSettings } from "../base/settings.ts";
import { behaviourOverrides, parseFleetProfile, type FleetProfile } from "./fleet-schema.ts";
import { hostileSchema } from "./hostile.ts";
import { builtInFleets } from "./built-in-fleets.ts";

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const text = v.pipe(v.string(), v.nonEmpty());

const dataSchema = v.strictObject({
  /** "demo" for generated gateway events, else a file or folder of labelled text. */
  source: v.optional(text, "demo"),
  /** Examples to train on, over all devices; more are left out by chance. The demo data are of this size. */
  maxExamples: v.exactOptional(positive),
  /** Held-out examples that are scored, at most. */
  maxTestExamples: v.exactOptional(positive),
  /** Share held out where the data bring no test part. */
  testShare: v.optional(v.pipe(share, v.gtValue(0), v.ltValue(1)), 0.2),
  textColumn: v.exactOptional(text),
  labelColumn: v.exactOptional(text),
  groupColumn: v.exactOptional(text),
});

const schema = v.strictObject({
  /** Decides data, fleet, draws and training. */
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 1),
  /** Folder of the base model; the bundled one where absent. */
  base: v.exactOptional(text),
  /** Devices have the base already; else they fetch it in their first round. */
  baseInstalled: v.optional(v.boolean(), true),
  data: v.optional(dataSchema, {}),
  fleet: v.strictObject({
    /** A built-in fleet, or a YAML file with boards and links. */
    profile: v.optional(text, "gateways"),
    devices: v.optional(v.pipe(positive, v.maxValue(10_000)), 8),
    overrides: v.optional(behaviourOverrides, {}),
    /** Devices that send something else than they have learnt, to see what the fleet makes of it. */
    hostile: v.exactOptional(hostileSchema),
  }),
  /**
   * Times as of a larger model: what is learnt stays the base's, but training takes as long as with this many billions of
   * operations in an unpruned step of the plan's batch, tokens and rank, and transfers as long as with unpruned updates of this size.
   */
  emulate: v.optional(
    v.strictObject({
      gflopsPerStep: v.exactOptional(v.pipe(v.number(), v.gtValue(0))),
      updateBytes: v.exactOptional(positive),
    }),
    {},
  ),
  /** How the training examples are dealt out to devices. */
  partition: v.optional(
    v.variant("kind", [
      v.strictObject({ kind: v.literal("iid") }),
      v.strictObject({
        kind: v.literal("dirichlet"),
        alpha: v.pipe(v.number(), v.gtValue(0)),
        minExamples: v.optional(positive, 8),
      }),
      v.strictObject({ kind: v.literal("group") }),
    ]),
    { kind: "iid" },
  ),
  /** Who trains in a round: every device that is on, or `count` of them by chance. */
  participation: v.optional(
    v.union([v.literal("all"), v.strictObject({ count: positive })]),
    "all",
  ),
  /** As in coordinator.json; what the simulation decides itself is refused. */
  coordinator: v.optional(v.record(v.string(), v.unknown()), {}),
  evaluation: v.optional(
    v.strictObject({
      /** Score the global adapter after the first, the last, and every so many rounds. */
      every: v.optional(positive, 1),
      /** Pruned models to score it on, evenly from the least to the most pruned; after the last round all of them. */
      devices: v.optional(positive, 3),
    }),
    {},
  ),
  /** Kernel module: "simd" gives the same bits on every machine. */
  kernels: v.optional(v.picklist(["simd", "relaxed"]), "simd"),
  /** What devices and the scoring hold the frozen base in; a run that folds adapters into the base needs "f32". */
  baseDtype: v.optional(v.picklist(baseDtypes), "f32"),
});

export type SimulationConfig = v.InferOutput<typeof schema>;
export type SimulationConfigInput = v.InferInput<typeof schema>;

/** Settings of the coordinator that follow from the simulation's own. */
const DECIDED_HERE: Readonly<Record<string, string>> = {
  fleet: "fleet",
  broker: "nothing: messages stay in memory",
  runFolder: "--out",
  base: "base",
  labels: "data",
  seed: "seed",
  scoredModels: "evaluation.devices",
  selection: "participation",
};

/** Fills in defaults. Throws ConfigError naming the first setting that is wrong. */
export function parseSimulationConfig(input: unknown): SimulationConfig {
  const config = parseSettings("simulation settings", schema, input);
  for (const key of Object.keys(config.coordinator)) {
    const instead = DECIDED_HERE[key];
    if (instead === undefined) continue;
    throw new ConfigError(`simulation settings: coordinator.${key} cannot be set`, {
      hint: `it follows from ${instead}`,
    });
  }
  return config;
}

/** A built-in fleet by name. Throws ConfigError for another name. */
export function builtInFleet(name: string): FleetProfile {
  const profile = Object.hasOwn(builtInFleets, name) ? builtInFleets[name] : undefined;
  if (profile !== undefined) return parseFleetProfile(`fleet ${name}`, profile);
  throw new ConfigError(`there is no fleet ${name}`, {
    expected: `${Object.keys(builtInFleets).join(", ")}, or the path of a YAML file`,
  });
}
