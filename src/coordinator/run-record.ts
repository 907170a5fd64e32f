/** All that a coordinator has to know after it was killed: one record, and the entries of the journal that change it. */
import * as v from "valibot";
import { CheckpointError } from "../base/errors.ts";
import { rejectReasons, reportSchema } from "../protocol/messages.ts";
import { type DeviceTotals, contributed, deviceTotalsSchema, noTotals } from "./device-totals.ts";
import {
  type DurableRound,
  durableRound,
  durableRoundSchema,
  patchedRound,
  roundPatchSchema,
} from "./durable-round.ts";
import { knowledgeSchema } from "./fleet-knowledge.ts";
import { newRun } from "./round-machine.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const amount = v.pipe(v.number(), v.minValue(0));
const counts = v.record(v.string(), count);
const scoreEntries = { accuracy: v.number(), loss: v.number(), macroF1: v.number() };

const evaluationSchema = v.nullable(
  v.object({
    ...scoreEntries,
    numDevices: v.exactOptional(count),
    worst: v.exactOptional(v.object({ ...scoreEntries, device: v.string() })),
  }),
);

/** What steering needs to go on exactly: models of the devices, and the controller with all that it has learnt. */
export const fleetSchema = v.object({
  devices: knowledgeSchema,
  controller: v.object({ kind: v.string(), state: v.unknown() }),
  /** Sizes of the updates that counted; null without a bound on them. */
  norms: v.optional(v.unknown(), null),
});

/** Points to the adapter of the last round that is done and says what it fits. */
const checkpointSchema = v.object({
  round: count,
  adapterFile: v.string(),
  /** LoRA rank of the global adapter. */
  rank: count,
  /** alpha / R of every adapter of the run. */
  scale: v.pipe(v.number(), v.gtValue(0)),
  /** Root of each base file by name. */
  base: v.record(v.string(), v.string()),
  before: evaluationSchema,
  after: evaluationSchema,
  fleet: fleetSchema,
});

/** An update that counts: its blob is in the store, and its device may have been told. */
const acceptedSchema = v.object({
  root: v.string(),
  sizeBytes: count,
  round: count,
  report: reportSchema,
  uploadMs: amount,
  rank: count,
  sparsity: amount,
});

/** What the devices of a round were given, and the controller as it was when it had decided. */
const decidedSchema = v.object({
  round: count,
  attempt: count,
  choices: v.record(
    v.string(),
    v.object({ choice: v.object({ sparsity: amount, rank: count }), reached: amount }),
  ),
  profiles: v.record(
    v.string(),
    v.object({
      ...{ type: v.string(), cores: count, memoryBytes: count, hasBase: v.boolean() },
      tensorBytes: v.exactOptional(count),
    }),
  ),
  controller: v.unknown(),
});

/** What was answered to a message of a device, so that its repeat gets the same. */
const answerSchema = v.object({
  device: v.string(),
  id: v.string(),
  root: v.string(),
  /** null: accepted. */
  reason: v.nullable(v.picklist(rejectReasons)),
});

const recordSchema = v.object({
  /** Names the run in what devices keep. */
  run: v.string(),
  /** The incarnation that wrote this. */
  epoch: count,
  checkpoint: v.nullable(checkpointSchema),
  /** Quality before the first round; null before it was measured. */
  before: evaluationSchema,
  round: durableRoundSchema,
  /** Time of the last change of round, attempt or phase, and of the last entry, by the coordinator's clock. */
  phaseMs: amount,
  lastMs: amount,
  decided: v.nullable(decidedSchema),
  /** The updates that count in the round under way, by device. */
  updates: v.record(v.string(), acceptedSchema),
  totals: v.record(v.string(), deviceTotalsSchema),
  dropped: counts,
  /** By device, the newest last. */
  answers: v.record(v.string(), v.array(answerSchema)),
});

const entrySchema = v.partial(
  v.object({
    atMs: amount,
    round: roundPatchSchema,
    accepted: v.record(v.string(), acceptedSchema),
    decided: decidedSchema,
    before: evaluationSchema,
    answers: v.array(answerSchema),
    /** New sums. */
    dropped: counts,
    /** Kinds of the machines that have joined, by device. */
    joined: v.record(v.string(), v.string()),
  }),
  ["round", "accepted", "decided", "before", "answers", "dropped", "joined"],
);

export type RunRecord = v.InferOutput<typeof recordSchema>;
export type RunEntry = v.InferOutput<typeof entrySchema>;
export type CheckpointRecord = v.InferOutput<typeof checkpointSchema>;
export type AcceptedRecord = v.InferOutput<typeof acceptedSchema>;
export type DecidedRecord = v.InferOutput<typeof decidedSchema>;
export type AnswerRecord = v.InferOutput<typeof answerSchema>;

/** Answers kept for each device: it has one offer under way, and repeats are close behind. */
const ANSWERS_PER_DEVICE = 4;

export function newRecord(run: string, epoch: number, nowMs: number): RunRecord {
  return {
    ...{ run, epoch, checkpoint: null, before: null, round: durableRound(newRun) },
    ...{ phaseMs: nowMs, lastMs: nowMs, decided: null, updates: {}, totals: {}, dropped: {} },
    answers: {},
  };
}

/** The record after an entry. The same entries in the same order always give the same. */
export function applied(record: RunRecord, entry: RunEntry): RunRecord {
  const { atMs, round, accepted, decided, before, answers, dropped, joined } = entry;
  const moves = ["round", "attempt", "phase"].some((field) => field in (round?.fields ?? {}));
  const next: RunRecord = { ...record, lastMs: atMs, phaseMs: moves ? atMs : record.phaseMs };
  if (round !== undefined) next.round = patchedRound(record.round, round);
  if (decided !== undefined) next.decided = withDecisions(record.decided, decided);
  if (before !== undefined) next.before = before;
  if (dropped !== undefined) next.dropped = dropped;
  if (joined !== undefined) next.totals = withTypes(next.totals, joined);
  if (accepted !== undefined) {
    next.updates = { ...record.updates, ...accepted };
    next.totals = withUpdates(next.totals, accepted);
  }
  if (answers !== undefined) next.answers = withAnswers(record.answers, answers);
  return next;
}

/** The record that a journal adds up to. Throws CheckpointError when it is of another version. */
export function readRecord(records: readonly unknown[], path: string): RunRecord {
  const [first, ...entries] = records;
  const record = v.safeParse(recordSchema, first);
  if (!record.success) throw unfit(path, record.issues[0]);
  let sum = record.output;
  for (const each of entries) {
    const entry = v.safeParse(entrySchema, each);
    if (!entry.success) throw unfit(path, entry.issues[0]);
    sum = applied(sum, entry.output);
  }
  return sum;
}

/** Once a round is saved a new process begins the next one, whatever this one did of it. */
export function settledRound({ fields, maps }: DurableRound): DurableRound {
  const { phase } = newRun;
  return { fields: { ...fields, phase }, maps };
}

function unfit(path: string, issue: v.BaseIssue<unknown>): CheckpointError {
  return new CheckpointError(`${path} was written by another version`, {
    got: `${v.getDotPath(issue) ?? "a record"}: ${issue.message}`,
    hint: "finish the run with the version that began it",
  });
}

/** With the bytes that were counted since. */
export function withTraffic(
  totals: RunRecord["totals"],
  traffic: ReadonlyMap<string, { readonly up: number; readonly down: number }>,
): Record<string, DeviceTotals> {
  const next = { ...totals };
  for (const [device, { up, down }] of traffic) {
    const own = totals[device] ?? noTotals;
    next[device] = { ...own, bytesUp: own.bytesUp + up, bytesDown: own.bytesDown + down };
  }
  return next;
}

function withTypes(
  totals: RunRecord["totals"],
  joined: Readonly<Record<string, string>>,
): Record<string, DeviceTotals> {
  const next = { ...totals };
  for (const [device, type] of Object.entries(joined)) {
    next[device] = { ...(totals[device] ?? noTotals), type };
  }
  return next;
}

/** What was decided for other devices before still holds. */
function withDecisions(before: DecidedRecord | null, decided: DecidedRecord): DecidedRecord {
  const { choices, profiles } = decided;
  return {
    ...decided,
    choices: { ...before?.choices, ...choices },
    profiles: { ...before?.profiles, ...profiles },
  };
}

function withUpdates(
  totals: RunRecord["totals"],
  accepted: Readonly<Record<string, AcceptedRecord>>,
): Record<string, DeviceTotals> {
  const next = { ...totals };
  for (const [device, update] of Object.entries(accepted)) {
    next[device] = contributed(totals[device] ?? noTotals, update);
  }
  return next;
}

function withAnswers(
  before: RunRecord["answers"],
  answers: readonly AnswerRecord[],
): RunRecord["answers"] {
  const next = { ...before };
  for (const answer of answers) {
    const own = next[answer.device] ?? [];
    next[answer.device] = [...own, answer].slice(-ANSWERS_PER_DEVICE);
  }
  return next;
}
