/** What each device did over a whole run, from its rounds. */
import type { RunFacts } from "./rounds.ts";
import type { RunRecord } from "./run-record.ts";

export interface DeviceFacts {
  readonly id: string;
  readonly type: string;
  /** Rounds that it was asked for, and those that its update reached. */
  readonly asked: number;
  readonly rounds: number;
  readonly numSamples: number;
  /** Of its last update; null where no update says. */
  readonly sparsity: number | null;
  readonly rank: number | null;
  /** Over all rounds. */
  readonly stepMs: number | null;
  readonly trainMs: number;
  readonly downloadMs: number;
  readonly uploadMs: number;
  readonly waitingMs: number;
  /** From the summary, all messages counted; before there is one, bytes of updates. */
  readonly bytesUp: number;
  readonly bytesDown: number | null;
  readonly peakBytes: number;
  readonly residentBytes: number;
}

/** All devices that joined or took part, in the order of their ids. */
export function deviceFacts(record: RunRecord, facts: RunFacts): DeviceFacts[] {
  const types = new Map<string, string>();
  for (const event of record.events) {
    if (event.kind === "device-joined") types.set(event.device, event.type);
  }
  const counted = new Map(record.summary?.devices.map((device) => [device.id, device]));
  const updates = facts.rounds.flatMap((round) => round.updates);
  const ids = new Set([...types.keys(), ...facts.rounds.flatMap(({ asked }) => asked)]);
  const names = [...ids].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return names.map((id) => {
    const own = updates.filter(({ device }) => device === id);
    const last = own.at(-1);
    const sum = (value: (update: (typeof own)[number]) => number): number =>
      own.reduce((total, update) => total + value(update), 0);
    const most = (value: (update: (typeof own)[number]) => number): number =>
      Math.max(0, ...own.map(value));
    const steps = sum((update) => update.steps);
    const isTimed = own.length > 0 && own.every(({ stepMs }) => stepMs !== undefined);
    return {
      id,
      type: types.get(id) ?? "",
      asked: facts.rounds.filter(({ asked }) => asked.includes(id)).length,
      rounds: own.length,
      numSamples: last?.numSamples ?? 0,
      sparsity: last?.sparsity ?? null,
      rank: last?.rank ?? null,
      stepMs: isTimed ? sum((update) => (update.stepMs ?? 0) * update.steps) / steps : null,
      trainMs: sum((update) => update.trainMs),
      downloadMs: sum((update) => update.downloadMs),
      uploadMs: sum((update) => update.uploadMs),
      waitingMs: sum((update) => update.waitingMs),
      bytesUp: counted.get(id)?.bytesUp ?? sum((update) => update.updateBytes),
      bytesDown:
        counted.get(id)?.bytesDown ??
        (own.every(({ bytesDown }) => bytesDown !== undefined)
          ? sum((update) => update.bytesDown ?? 0)
          : null),
      peakBytes: most((update) => update.peakBytes),
      residentBytes: most((update) => update.residentBytes),
    };
  });
}
