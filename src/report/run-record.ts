/** Reads what a run left in its folder, whole or broken off: events, settings and, where it ended, the summary. */
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import * as v from "valibot";
import { DataError } from "../base/errors.ts";
import { readJsonObject } from "../io/json.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const number = v.pipe(v.number(), v.finite());
const at = number;
const device = v.string();

/** Lines of older versions lack what is optional here. */
const eventSchema = v.variant("kind", [
  v.object({
    kind: v.literal("run-started"),
    at,
    fleet: v.string(),
    rounds: count,
    resumedRound: v.nullable(count),
  }),
  v.object({
    kind: v.literal("device-joined"),
    ...{ at, device, type: v.string(), cores: count, memoryBytes: number },
  }),
  v.object({ kind: v.literal("device-left"), at, device, reason: v.string() }),
  v.object({
    kind: v.literal("round-started"),
    ...{ at, round: count, attempt: count, devices: v.array(v.string()) },
  }),
  v.object({
    kind: v.literal("update-received"),
    ...{ at, round: count, device, numSamples: count, steps: count },
    ...{ lossFirst: number, lossLast: number, updateBytes: count },
    ...{ trainMs: number, downloadMs: number, uploadMs: number },
    ...{ peakBytes: number, residentBytes: number },
    rank: v.optional(count),
    sparsity: v.optional(number),
    stepMs: v.optional(number),
    bytesDown: v.optional(number),
    pruningSkipped: v.optional(v.boolean()),
  }),
  v.object({ kind: v.literal("update-dropped"), at, round: count, device, reason: v.string() }),
  v.object({ kind: v.literal("device-failed"), at, round: count, device, reason: v.string() }),
  v.object({
    kind: v.literal("device-excluded"),
    ...{ at, round: count, device, neededBytes: number, availableBytes: number },
  }),
  v.object({ kind: v.literal("round-short"), at, round: count, attempt: count }),
  v.object({
    kind: v.literal("aggregated"),
    ...{ at, round: count, discardedEnergy: number },
    meanStaleness: v.optional(number, 0),
  }),
  v.object({
    kind: v.literal("evaluated"),
    ...{ at, round: count, accuracy: number, loss: number, macroF1: number },
    /** Devices whose own models were scored; the numbers are means over them then. */
    numDevices: v.optional(count),
    worst: v.optional(v.object({ device, accuracy: number })),
  }),
  v.object({
    kind: v.literal("message-dropped"),
    ...{ at, device: v.nullable(device), reason: v.string(), detail: v.string() },
  }),
  v.object({ kind: v.literal("finished"), at, ok: v.boolean(), reason: v.string() }),
]);

/** One line of events.jsonl that the report uses; `at` in milliseconds, of the wall clock or of a simulation. */
export type LoggedEvent = v.InferOutput<typeof eventSchema>;

const summarySchema = v.object({
  dropped: v.optional(v.record(v.string(), count), {}),
  devices: v.array(v.object({ id: v.string(), bytesUp: count, bytesDown: count })),
});

export interface RunRecord {
  /** Last part of the folder's path. */
  readonly name: string;
  /** In the order of the file, of the last run in it. */
  readonly events: readonly LoggedEvent[];
  /** Lines that could not be read: the last one of a run that was killed, say. */
  readonly unreadableLines: number;
  /** config.json, for a simulation with the settings of simulation.json in it; empty when the folder has neither. */
  readonly config: Readonly<Record<string, unknown>>;
  /** summary.json; null while a run goes on, or when it was killed. */
  readonly summary: v.InferOutput<typeof summarySchema> | null;
}

/** Reads a run folder, or the folder of a demo that holds one. Throws DataError when there are no events. */
export function readRun(folder: string): RunRecord {
  const inner = join(folder, "run");
  const path = existsSync(join(folder, "events.jsonl")) ? folder : inner;
  const file = join(path, "events.jsonl");
  if (!existsSync(file)) {
    throw new DataError(`${folder} is not the folder of a run`, {
      expected: "a file events.jsonl in it or in its folder run",
      hint: "name the run folder of a coordinator, a demo or a simulation",
    });
  }
  const { events, unreadableLines } = parseEvents(readFileSync(file, "utf8"));
  if (events.length === 0) throw new DataError(`${file} holds no event`);
  return {
    name: basename(resolve(folder)),
    events: lastRun(events),
    unreadableLines,
    config: settingsIn(path),
    summary: summaryIn(join(path, "summary.json")),
  };
}

/** Reads events.jsonl; events of no interest here are left out, lines that make no sense are counted. */
export function parseEvents(text: string): { events: LoggedEvent[]; unreadableLines: number } {
  const events: LoggedEvent[] = [];
  let unreadableLines = 0;
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const value = jsonObject(line);
    const parsed = v.safeParse(eventSchema, value);
    if (parsed.success) events.push(parsed.output);
    else if (value === undefined || isKnown(value)) unreadableLines++;
  }
  return { events, unreadableLines };
}

function jsonObject(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isKnown({ kind }: Record<string, unknown>): boolean {
  return eventSchema.options.some(({ entries }) => entries.kind.literal === kind);
}

/** A folder that was used twice keeps the events of both runs. */
function lastRun(events: readonly LoggedEvent[]): LoggedEvent[] {
  const start = events.findLastIndex(
    (event) => event.kind === "run-started" && event.resumedRound === null,
  );
  return events.slice(Math.max(0, start));
}

function settingsIn(folder: string): Record<string, unknown> {
  const simulation = objectIn(join(folder, "simulation.json"))?.["settings"];
  return {
    ...objectIn(join(folder, "config.json")),
    ...(simulation === undefined ? {} : { simulation }),
  };
}

function objectIn(path: string): Record<string, unknown> | null {
  return existsSync(path) ? readJsonObject(path) : null;
}

function summaryIn(path: string): RunRecord["summary"] {
  const parsed = v.safeParse(summarySchema, objectIn(path));
  return parsed.success ? parsed.output : null;
}
