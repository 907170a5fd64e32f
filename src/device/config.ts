/** The settings of a device agent, device.json: their meaning, limits and defaults. */
import * as v from "valibot";
import { baseDtypes } from "../base/base-dtype.ts";
import { parseSettings } from "../base/settings.ts";
import { ID_PATTERN } from "../protocol/topics.ts";

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const text = v.pipe(v.string(), v.nonEmpty());
export const DEFAULT_STATE_FOLDER = "device-state";
const GIB = 1024 ** 3;

const schema = v.strictObject({
  /** Unique in the fleet; absent: one is drawn on the first start and kept in the state folder. */
  id: v.exactOptional(v.pipe(v.string(), v.regex(ID_PATTERN))),
  fleet: v.optional(v.pipe(v.string(), v.regex(ID_PATTERN)), "fedspine"),
  /** mqtt://, mqtts://, ws:// or wss://, without credentials. */
  broker: v.optional(text, "mqtt://127.0.0.1:1883"),
  /** PEM files for mqtts and wss: the broker's authority, and this client's certificate and key. An enrolled device has its own. */
  ca: v.exactOptional(text),
  cert: v.exactOptional(text),
  key: v.exactOptional(text),
  /** Where identity, credentials, fetched models and unsent work survive a restart. */
  stateFolder: v.optional(text, DEFAULT_STATE_FOLDER),
  /** File or folder of this device's own examples; they never leave it. */
  data: text,
  /** Kind of machine, for reports. */
  type: v.optional(v.pipe(v.string(), v.maxLength(100)), "gateway"),
  /** Larger models are refused before they are fetched; all files together. */
  maxBaseBytes: v.optional(positive, 4 * GIB),
  maxAdapterBytes: v.optional(positive, GIB / 4),
  keepaliveSeconds: v.optional(v.pipe(positive, v.maxValue(300)), 30),
  /** How long the first connection to the broker is tried. */
  connectTimeoutMs: v.optional(positive, 60_000),
  /** Wait for the next run instead of ending with this one. */
  staysAfterRun: v.optional(v.boolean(), false),
  /** Kernel module: "simd" gives the same bits on every machine, "auto" the faster one that runs here. */
  kernels: v.optional(v.picklist(["simd", "relaxed", "auto"]), "auto"),
  /** What the frozen base is held in. A run that folds adapters into the base ("merge") needs "f32". */
  baseDtype: v.optional(v.picklist(baseDtypes), "f32"),
  /** Threads to train on; the same results for any number. "auto": one per core. */
  threads: v.optional(v.union([v.pipe(positive, v.maxValue(64)), v.literal("auto")]), 1),
  /** Memory that the process may take, resident; absent: the container's limit or the machine's memory. Larger plans are refused. */
  memoryBytes: v.exactOptional(positive),
  /** Emulates a slower machine: at 0.25 every step takes four times as long. */
  speed: v.optional(v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), 1),
  /** Emulates a slower link. */
  link: v.exactOptional(
    v.strictObject({
      upBytesPerSecond: v.pipe(v.number(), v.gtValue(0)),
      downBytesPerSecond: v.pipe(v.number(), v.gtValue(0)),
      latencyMs: v.optional(v.pipe(v.number(), v.minValue(0)), 0),
    }),
  ),
});

export type DeviceConfig = v.InferOutput<typeof schema>;
/** What device.json may hold: everything with a default may be left out. */
export type DeviceConfigInput = v.InferInput<typeof schema>;

/** Fills in defaults. Throws ConfigError naming the first setting that is wrong. */
export function parseDeviceConfig(input: unknown): DeviceConfig {
  return parseSettings("device settings", schema, input);
}
