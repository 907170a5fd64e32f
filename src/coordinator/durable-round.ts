/** The part of the round machine's state that outlives the process, as JSON, and what one step changes in it. */
import * as v from "valibot";
import { newRun } from "./round-machine.ts";
import type { RoundPhase, RoundState, Task } from "./round-state.ts";

const entries = v.record(v.string(), v.unknown());

/** Plain fields by name, and maps by name and key. Who is present is not in it: that shows again after a restart. */
export const durableRoundSchema = v.object({
  fields: entries,
  maps: v.record(v.string(), entries),
});
export type DurableRound = v.InferOutput<typeof durableRoundSchema>;

/** Values that are new or different; null takes an entry out of a map. */
export const roundPatchSchema = v.partial(durableRoundSchema);
export type RoundPatch = v.InferOutput<typeof roundPatchSchema>;

/** Jobs that are done again after a restart, from the updates that are on the disk. */
const JOBS: readonly RoundPhase[] = ["aggregating", "evaluating", "saving"];

export function durableRound(state: RoundState): DurableRound {
  const phase = JOBS.includes(state.phase) ? "aggregating" : state.phase;
  const { present: _, ...kept } = { ...state, phase, tasks: withoutFetches(state.tasks) };
  const fields: Record<string, unknown> = {};
  const maps: Record<string, Record<string, unknown>> = {};
  for (const [name, value] of Object.entries(kept)) {
    if (value instanceof Map) maps[name] = Object.fromEntries(value as Map<string, unknown>);
    else fields[name] = value;
  }
  return { fields, maps };
}

/** The state that a new process goes on from; these devices count as present until their leases are over. */
export function restoredRound(
  { fields, maps }: DurableRound,
  present: Iterable<string>,
): RoundState {
  const restored = Object.fromEntries(
    Object.entries(maps).map(([name, map]) => [name, new Map(Object.entries(map))]),
  ) as Partial<RoundState>;
  return { ...newRun, ...fields, ...restored, present: new Set(present) };
}

/** What has changed; null when nothing has. */
export function roundPatch(before: DurableRound, after: DurableRound): RoundPatch | null {
  const fields = changed(before.fields, after.fields);
  const maps = Object.entries(after.maps).flatMap(([name, map]) => {
    const changes = changed(before.maps[name] ?? {}, map);
    return Object.keys(changes).length > 0 ? [[name, changes] as const] : [];
  });
  const patch: RoundPatch = {};
  if (Object.keys(fields).length > 0) patch.fields = fields;
  if (maps.length > 0) patch.maps = Object.fromEntries(maps);
  return Object.keys(patch).length > 0 ? patch : null;
}

export function patchedRound(round: DurableRound, { fields, maps }: RoundPatch): DurableRound {
  const patched = { ...round.maps };
  for (const [name, changes] of Object.entries(maps ?? {})) {
    const map = { ...patched[name], ...changes };
    patched[name] = Object.fromEntries(Object.entries(map).filter(([, value]) => value !== null));
  }
  return { fields: { ...round.fields, ...fields }, maps: patched };
}

/** A transfer that breaks off is offered again, and goes on where it stopped. */
function withoutFetches(tasks: RoundState["tasks"]): RoundState["tasks"] {
  const asked: Task = { status: "asked" };
  return new Map(
    [...tasks].map(([device, task]) => [device, task.status === "fetching" ? asked : task]),
  );
}

function changed(
  before: Readonly<Record<string, unknown>>,
  after: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(after)) {
    if (JSON.stringify(value) !== JSON.stringify(before[key])) changes[key] = value;
  }
  for (const key of Object.keys(before)) if (!(key in after)) changes[key] = null;
  return changes;
}
