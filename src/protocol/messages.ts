/** What devices and coordinator say to each other: one schema per kind, carried as type and body of a control message. */
import { baseDtypes } from "../base/base-dtype.ts";
import * as v from "valibot";
import { accepted, refused } from "./decoded.ts";
import type { Decoded } from "./decoded.ts";
import { isRoot } from "./manifest.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const finite = v.pipe(v.number(), v.finite());
const durationMs = v.pipe(finite, v.minValue(0));
const root = v.pipe(v.string(), v.check(isRoot, "not a blob root"));
const shortText = v.pipe(v.string(), v.maxLength(300));
const blobRef = v.object({ root, sizeBytes: count });

/** A random name: of a process start, or of a run. */
const name = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{8,40}$/));
/** The id of a control message. */
const messageId = v.pipe(v.string(), v.regex(/^[0-9A-Z]{26}$/));
/** A file name without a folder and without a leading dot, so that it can only land in the folder it is meant for. */
const fileName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/));

/** Where a device stands: between rounds, fetching the base or the adapter, training, or offering its update. */
export const devicePhases = ["idle", "base", "adapter", "training", "uploading"] as const;
export type DevicePhase = (typeof devicePhases)[number];

/** How the importance of heads and inner channels is estimated; see src/pruning/scores. */
export const scoreNames = ["fisher", "lora-prune", "magnitude", "activation", "random"] as const;
export type ScoreName = (typeof scoreNames)[number];

const pruningSchema = v.object({
  /** Sparsity of the body that this device shall have from the start of this round on, in [0, 1). */
  sparsity: v.pipe(finite, v.minValue(0), v.ltValue(1)),
  score: v.picklist(scoreNames),
  /** Weight of the past in the moving average of scores, per optimiser step. */
  decay: v.pipe(finite, v.minValue(0), v.ltValue(1)),
  /** Weight of the fleet's mean scores, which come with the adapter, against the device's own. */
  blend: v.pipe(finite, v.minValue(0), v.maxValue(1)),
  /** Prune only when the held-out loss has not risen by more than this share since before the last pruning; null = always. */
  guard: v.nullable(v.pipe(finite, v.gtValue(0))),
  /** Share of the inner channels that every layer keeps at least. */
  minFfnShare: v.pipe(finite, v.minValue(0), v.maxValue(1)),
  /** Every round starts from the unpruned base, so units may come back (FedMP); else what is gone is gone. */
  isReversible: v.boolean(),
});

/** How a device shall prune. */
export type PruningPlan = v.InferOutput<typeof pruningSchema>;

const planSchema = v.object({
  rank: v.pipe(positive, v.maxValue(1024)),
  alpha: v.pipe(finite, v.gtValue(0)),
  /** Which linear layers get an adapter: all of them, or those whose names end so. */
  targets: v.union([
    v.literal("all-linear"),
    v.pipe(
      v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(100))),
      v.minLength(1),
      v.maxLength(64),
    ),
  ]),
  trainHead: v.boolean(),
  steps: positive,
  batchSize: positive,
  learningRate: v.pipe(finite, v.gtValue(0)),
  maxTokens: positive,
  /** The same on every device of a round: fresh LoRA factors come from it. A device adds its own id for its order of examples. */
  seed: count,
  dropout: v.pipe(finite, v.minValue(0), v.ltValue(1)),
  /** Run blocks again in the backward pass and keep their inputs alone. A device does so by itself where memory asks for it. */
  recompute: v.exactOptional(v.boolean()),
  labels: v.pipe(v.array(v.pipe(v.string(), v.maxLength(100))), v.minLength(1), v.maxLength(200)),
  /** null = the model stays whole. */
  pruning: v.nullable(pruningSchema),
  /** "continue": train the received factors on. "merge": fold them into the base and train fresh ones (FLoRA). */
  start: v.picklist(["continue", "merge"]),
  /** false keeps the A factors as they are (FFA-LoRA). */
  trainA: v.boolean(),
  /** What the update's numbers are sent as; absent = "f32". A coordinator reads all of them. */
  updateDtype: v.exactOptional(v.picklist(["f32", "f16", "int8"])),
  /** HetLoRA's rank self-pruning: weight of the tail's norm in the loss, and the share of the rank that is not tail. */
  selfPruning: v.nullable(
    v.object({
      weight: v.pipe(finite, v.minValue(0)),
      share: v.pipe(finite, v.gtValue(0), v.ltValue(1)),
    }),
  ),
});

/** What a device shall train this round. */
export type TrainPlan = v.InferOutput<typeof planSchema>;

/** Also what a device keeps of finished work. */
export const reportSchema = v.object({
  numSamples: positive,
  steps: count,
  lossFirst: finite,
  lossLast: finite,
  /** Mean loss on examples that the device holds back, with the received adapter before training; null when it holds none. */
  heldOutLoss: v.nullable(finite),
  /** LoRA rank of the update. */
  rank: positive,
  /** Share of the body's parameters that is gone. */
  sparsity: v.pipe(finite, v.minValue(0), v.ltValue(1)),
  /** Whether the guard has kept the device from pruning this time. */
  pruningSkipped: v.boolean(),
  /** First-order importance of the update: sum over factors of |<factor, gradient>|, mean over the steps. */
  importance: v.pipe(finite, v.minValue(0)),
  /** Mean duration of an optimiser step. */
  stepMs: durationMs,
  trainMs: durationMs,
  downloadMs: durationMs,
  /** Size of the offered update. */
  bytesUp: count,
  /** Received for this round; 0 when base and adapter were here already. */
  bytesDown: count,
  /** Largest memory of the tensor engine during training. */
  peakBytes: count,
  /** Most resident memory that the process has had. */
  residentBytes: count,
});

/** What a device says about its work of one round. */
export type DeviceReport = v.InferOutput<typeof reportSchema>;

const taskSchema = v.object({
  kind: v.literal("train"),
  /** Names the run across restarts of its coordinator, so that work of another run is never offered in this one. */
  run: name,
  round: positive,
  attempt: positive,
  base: v.object({
    files: v.pipe(
      v.array(v.object({ name: fileName, ...blobRef.entries })),
      v.minLength(1),
      v.maxLength(32),
      v.check(
        (files) => new Set(files.map(({ name }) => name)).size === files.length,
        "a file name is there twice",
      ),
    ),
  }),
  /** The adapter to start from; null = fresh factors from the seed. */
  adapter: v.nullable(blobRef),
  plan: planSchema,
  /** Left until the round closes, counted from the sending of the message. */
  deadlineMs: durationMs,
});

/** One round's work for one device. */
export type TrainTask = v.InferOutput<typeof taskSchema>;

const wantedSchema = v.variant("kind", [
  v.object({ kind: v.literal("idle") }),
  taskSchema,
  v.object({ kind: v.literal("finished"), reason: shortText }),
]);

/** What a device shall be doing now: absolute, so a repeat changes nothing and the last one is the only one that counts. */
export type WantedState = v.InferOutput<typeof wantedSchema>;

/** Why an offered update was not taken. */
export const rejectReasons = [
  "late",
  "not-asked",
  "duplicate",
  "too-large",
  "unreadable",
  "not-finite",
  "wrong-shape",
  "bad-scores",
  "wrong-round",
  "too-far",
] as const;
export type RejectReason = (typeof rejectReasons)[number];

const deviceKinds = {
  /** After every connect, and whenever the coordinator's incarnation changes. */
  hello: v.object({
    /** The process start that speaks; never comes back after a restart. */
    boot: name,
    capabilities: v.object({
      kind: shortText,
      cores: positive,
      memoryBytes: count,
      /** What it holds the frozen base in; float32 where it does not say. */
      baseDtype: v.exactOptional(v.picklist(baseDtypes)),
    }),
    /** Roots of the blobs that are complete here. */
    have: v.pipe(v.array(root), v.maxLength(64)),
  }),
  heartbeat: v.object({
    round: count,
    phase: v.picklist(devicePhases),
    step: count,
    numSteps: count,
    loss: v.nullable(finite),
  }),
  offer: v.object({ round: positive, attempt: positive, ...blobRef.entries, report: reportSchema }),
  failed: v.object({
    ...{ round: positive, attempt: positive, reason: shortText },
    /** Where the plan needs more memory than there is: what the device has for tensors. */
    tensorBytes: v.exactOptional(count),
  }),
  /** That a command has come, by its id: one that is not acknowledged is sent again. */
  ack: v.object({ of: messageId }),
  bye: v.object({ reason: shortText }),
  /** Retained on the presence topic; `online: false` is the will. */
  presence: v.object({ boot: name, online: v.boolean() }),
};

const coordinatorKinds = {
  state: v.object({ wanted: wantedSchema, heartbeatMs: v.pipe(positive, v.maxValue(3_600_000)) }),
  /** Say hello (again): this incarnation does not know the device. */
  resync: v.object({}),
  accept: v.object({ root }),
  reject: v.object({ root, reason: v.picklist(rejectReasons) }),
  /** Nothing is taken in for the moment: keep what there is and say it again later. */
  busy: v.object({}),
  /** Retained for the fleet: "gone" is the will, "ended" says that the run is over. `boot` tells two of the same epoch apart. */
  epoch: v.object({ boot: name, status: v.picklist(["here", "gone", "ended"]) }),
};

type Kinds = Record<string, v.GenericSchema>;
type MessageOf<K extends Kinds> = {
  [kind in keyof K]: { readonly kind: kind } & v.InferOutput<K[kind]>;
}[keyof K];

/** From a device to the coordinator. */
export type DeviceMessage = MessageOf<typeof deviceKinds>;
/** From the coordinator to a device, or to all of them. */
export type CoordinatorMessage = MessageOf<typeof coordinatorKinds>;
export type Message = DeviceMessage | CoordinatorMessage;

/** The type and body of a control message that carries `message`. */
export function toTypeAndBody(message: Message): { t: string; body: unknown } {
  const { kind, ...body } = message;
  return { t: kind, body };
}

/** Checks what a device sent; unknown fields are ignored, an unknown kind is refused. Never throws. */
export function readDeviceMessage(control: { t: string; body: unknown }): Decoded<DeviceMessage> {
  return read<DeviceMessage>(deviceKinds, control);
}

/** Checks what the coordinator sent, in the same way. */
export function readCoordinatorMessage(control: {
  t: string;
  body: unknown;
}): Decoded<CoordinatorMessage> {
  return read<CoordinatorMessage>(coordinatorKinds, control);
}

function read<M extends Message>(
  kinds: Kinds,
  { t, body }: { t: string; body: unknown },
): Decoded<M> {
  const schema = Object.hasOwn(kinds, t) ? kinds[t] : undefined;
  if (schema === undefined) return refused("malformed", `unknown kind ${t}`);
  const checked = v.safeParse(schema, body);
  if (checked.success) return accepted({ kind: t, ...(checked.output as object) } as M);
  const [issue] = checked.issues;
  return refused("malformed", `${t} ${v.getDotPath(issue) ?? ""}: ${issue.message}`.slice(0, 200));
}
