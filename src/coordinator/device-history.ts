/** Reads out of a run folder what one device was given in each round, and what the controller has learnt about it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { DataError } from "../base/errors.ts";
import { readJson } from "../io/json.ts";
import type { Explanation } from "../strategies/controllers/controller.ts";
import { parseCoordinatorConfig } from "./config.ts";
import { RunFolder } from "./run-folder.ts";
import { controllerOf } from "./strategy-config.ts";

const number = v.pipe(v.number(), v.finite());
const at = { round: number, device: v.string() };

const decidedSchema = v.object({
  kind: v.literal("controller-decided"),
  ...at,
  ...{ sparsity: number, rank: number, minSparsity: number, maxSparsity: number },
  ...{ ranks: v.array(number), referenceSparsity: number, reachedSparsity: number },
  ...{ gflopsPerStep: number, memoryBytes: number, reason: v.string() },
});
const receivedSchema = v.object({
  kind: v.literal("update-received"),
  ...at,
  ...{ sparsity: number, rank: number, stepMs: number, trainMs: number, downloadMs: number },
  ...{ uploadMs: number, lossFirst: number, lossLast: number, heldOutLoss: v.nullable(number) },
});
const excludedSchema = v.object({
  kind: v.literal("device-excluded"),
  ...at,
  ...{ neededBytes: number, availableBytes: number },
});
const eventSchema = v.variant("kind", [decidedSchema, receivedSchema, excludedSchema]);

/** One round of one device. */
export interface DeviceRound {
  readonly round: number;
  readonly decided: v.InferOutput<typeof decidedSchema>;
  /** null when no update of it was taken. */
  readonly received: v.InferOutput<typeof receivedSchema> | null;
}

export interface DeviceHistory {
  readonly rounds: readonly DeviceRound[];
  /** The last time that it was left out for want of memory; null when it never was. */
  readonly excluded: v.InferOutput<typeof excludedSchema> | null;
  /** Name of the controller. */
  readonly controller: string;
  /** What it knows of the device at the last checkpoint; null before the first, or when it was never asked. */
  readonly explanation: Explanation | null;
}

/** Throws DataError when the folder holds no run or the device was never considered in it. */
export function deviceHistory(folder: string, device: string): DeviceHistory {
  const eventsFile = join(folder, "events.jsonl");
  if (!existsSync(eventsFile)) {
    throw new DataError(`${folder} is not the folder of a run`, { expected: "events.jsonl in it" });
  }
  const lines = readFileSync(eventsFile, "utf8").split("\n");
  const events = lines.flatMap((line) => eventOf(line) ?? []);
  const own = events.filter((event) => event.device === device);
  if (own.length === 0) {
    const known = [...new Set(events.map((event) => event.device))].sort();
    throw new DataError(`${folder}: nothing was ever decided about ${device}`, {
      expected: known.join(", ") || "a run that has begun its first round",
    });
  }
  const rounds = new Map<number, DeviceRound>();
  for (const event of own) {
    if (event.kind === "controller-decided") {
      rounds.set(event.round, { round: event.round, decided: event, received: null });
    } else if (event.kind === "update-received") {
      const open = rounds.get(event.round);
      if (open !== undefined) rounds.set(event.round, { ...open, received: event });
    }
  }
  const excluded = own.findLast((event) => event.kind === "device-excluded") ?? null;
  return { rounds: [...rounds.values()], excluded, ...learnt(folder, device) };
}

/** A line of another kind, or one that was written in part, is of no interest here. */
function eventOf(line: string): v.InferOutput<typeof eventSchema> | undefined {
  try {
    const parsed = v.safeParse(eventSchema, JSON.parse(line));
    return parsed.success ? parsed.output : undefined;
  } catch {
    return undefined;
  }
}

function learnt(folder: string, device: string): Pick<DeviceHistory, "controller" | "explanation"> {
  const config = parseCoordinatorConfig(readJson(join(folder, "config.json")));
  const controller = controllerOf(config);
  const checkpoint = new RunFolder(folder).load();
  if (checkpoint === undefined) return { controller: controller.name, explanation: null };
  controller.restore(checkpoint.fleet.controller.state);
  return { controller: controller.name, explanation: controller.explain(device) };
}
