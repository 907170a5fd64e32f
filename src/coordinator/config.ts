/** The settings of a coordinator, coordinator.json: their meaning, limits and defaults. */
import * as v from "valibot";
import { parseSettings } from "../base/settings.ts";
import { ID_PATTERN } from "../protocol/topics.ts";
import { aggregators } from "../strategies/aggregation/index.ts";
import {
  controllerSchema,
  expectStrategies,
  modeSchema,
  pruningSchema,
  rankSchema,
  selfPruningSchema,
  validationSchema,
} from "./strategy-config.ts";

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const text = v.pipe(v.string(), v.nonEmpty());

const planSchema = v.strictObject({
  /** LoRA rank R; the largest one where the controller chooses. */
  rank: v.optional(rankSchema, 8),
  /** The update is scaled by alpha / R, and by the same factor on a device with another rank. */
  alpha: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0)), 16),
  /** Linear layers that get an adapter: "all-linear", or ends of their names. */
  targets: v.optional(v.union([v.literal("all-linear"), v.pipe(v.array(text), v.minLength(1))]), [
    "query",
    "value",
  ]),
  /** Train the classifier in full beside the adapter. */
  trainHead: v.optional(v.boolean(), true),
  /** Optimiser steps of a device per round. */
  steps: v.optional(positive, 20),
  batchSize: v.optional(positive, 16),
  /** Of the first round; later rounds go down in equal steps. */
  learningRate: v.optional(v.pipe(v.number(), v.finite(), v.gtValue(0)), 2e-3),
  /** Share of it that the last round trains with. */
  lastRateShare: v.optional(v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), 0.1),
  /** Longer texts are cut. */
  maxTokens: v.optional(positive, 128),
  dropout: v.optional(v.pipe(v.number(), v.minValue(0), v.ltValue(1)), 0.05),
  /** Keep the inputs of blocks alone and run them again: less memory, about a third more time. Devices that need it do so anyway. */
  recompute: v.optional(v.boolean(), false),
  /** What devices send the numbers of their updates as; docs/update-encodings.md says what it costs. */
  updateDtype: v.optional(v.picklist(["f32", "f16", "int8"]), "f32"),
});

const schema = v.strictObject({
  /** Devices and coordinator of one fleet find each other by this name. */
  fleet: v.optional(v.pipe(v.string(), v.regex(ID_PATTERN)), "fedspine"),
  /** mqtt://, mqtts://, ws:// or wss://, without credentials. */
  broker: v.optional(text, "mqtt://127.0.0.1:1883"),
  /** PEM files for mqtts and wss: the broker's authority, and this client's certificate and key. */
  ca: v.exactOptional(text),
  cert: v.exactOptional(text),
  key: v.exactOptional(text),
  /** Folder with the fleet's keys: then control messages are sealed, and TLS uses its certificates. */
  fleetFolder: v.exactOptional(text),
  /** Where the events, the checkpoint and the blobs of this run are kept. */
  runFolder: v.optional(text, "runs/latest"),
  /** Folder of the base model; its files are what devices fetch once. */
  base: text,
  /** Names of the classes, in the order of the classifier's outputs. */
  labels: v.pipe(v.array(text), v.minLength(1)),
  plan: v.optional(planSchema, {}),
  rounds: v.optional(positive, 10),
  /** Wait for the devices of a round, or merge whenever enough updates have come. */
  mode: v.optional(modeSchema, { kind: "sync" }),
  /** Devices that must be here before a round starts. */
  minDevices: v.optional(positive, 2),
  /** Share of the asked devices whose updates make a round. */
  quorum: v.optional(v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), 0.6),
  /** Attempts at one round before the run is given up. */
  maxAttempts: v.optional(positive, 3),
  /** Time for one attempt, downloads and uploads included. */
  roundTimeoutMs: v.optional(positive, 900_000),
  /** How long to wait for `minDevices` before the run is given up. */
  joinTimeoutMs: v.optional(positive, 300_000),
  selection: v.optional(
    v.variant("kind", [
      v.strictObject({ kind: v.literal("all") }),
      v.strictObject({ kind: v.literal("random"), count: positive }),
    ]),
    { kind: "all" },
  ),
  aggregation: v.optional(v.strictObject({ kind: v.picklist(Object.keys(aggregators)) }), {
    kind: "lora-stack",
  }),
  /** Bounds on the size of an update and on the weight that it claims. */
  validation: v.optional(validationSchema, {}),
  /** Shrink the devices' models while they are tuned; null = they stay whole. */
  pruning: v.optional(v.nullable(pruningSchema), null),
  /** Who chooses sparsity and rank for every device and round. */
  controller: v.optional(controllerSchema, { kind: "fixed" }),
  /** Ranks to choose from; absent: the plan's, and for controllers other than "fixed" 2, 4, 8, 16 and 32 below it. */
  ranks: v.exactOptional(v.pipe(v.array(rankSchema), v.minLength(1), v.maxLength(32))),
  /** Rank of the global adapter; absent: twice the largest of several ranks, or the only one. */
  serverRank: v.exactOptional(rankSchema),
  /** Devices may lower their rank where the last directions carry little (HetLoRA). */
  selfPruning: v.optional(v.nullable(selfPruningSchema), null),
  /** Of a device's memory, what Node and the system need beside the tensor engine. */
  memoryReserveBytes: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 256 * 2 ** 20),
  /** Pruned models that a round is scored on, from the least to the most pruned; the last round scores all. */
  scoredModels: v.optional(positive, 3),
  /** How often a device shows a sign of life; three that stay away mean that it is gone. */
  heartbeatMs: v.optional(v.pipe(positive, v.maxValue(3_600_000)), 10_000),
  /** Larger updates are refused before they are fetched. */
  maxUpdateBytes: v.optional(positive, 64 * 1024 * 1024),
  /** Decides selection, fresh adapters and the order of examples. */
  seed: v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(0)), 1),
  /** How long the first connection to the broker is tried. */
  connectTimeoutMs: v.optional(positive, 30_000),
});

export type CoordinatorConfig = v.InferOutput<typeof schema>;
/** What coordinator.json may hold: everything with a default may be left out. */
export type CoordinatorConfigInput = v.InferInput<typeof schema>;

/** Fills in defaults. Throws ConfigError naming the first setting that is wrong, or two that do not go together. */
export function parseCoordinatorConfig(input: unknown): CoordinatorConfig {
  const config = parseSettings("coordinator settings", schema, input);
  expectStrategies(config);
  return config;
}
