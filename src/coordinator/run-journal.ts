/** The run's record on disk: what an entry changes is durable when `append` returns. */
import { join } from "node:path";
import { ConfigError } from "../base/errors.ts";
import { Journal, type FoundRecords, readJournal } from "../io/journal.ts";
import { durableRound } from "./durable-round.ts";
import { newRun } from "./round-machine.ts";
import {
  type CheckpointRecord,
  type DecidedRecord,
  type RunEntry,
  type RunRecord,
  applied,
  newRecord,
  readRecord,
  settledRound,
  withTraffic,
} from "./run-record.ts";

/** What keeps the entries; see {@link Journal}. */
export type RecordKeeper = Pick<Journal, "append" | "replace" | "close">;

/** Takes the journal in a folder; see {@link Journal.take}. */
export type TakeJournal = (folder: string, sum: (found: FoundRecords) => unknown) => RecordKeeper;

/** Every record is on the disk before anybody is told of what it says. */
export const takeSynced: TakeJournal = (folder, sum) =>
  Journal.take(folder, { isSynced: true }, sum);

/** For runs that can be played again: a crash of the machine may cost the end of the journal. */
export const takeUnsynced: TakeJournal = (folder, sum) =>
  Journal.take(folder, { isSynced: false }, sum);

/** What is counted without being written down each time. */
export interface Counts {
  readonly dropped: RunRecord["dropped"];
  /** Bytes by device since the last settlement. */
  readonly traffic: Parameters<typeof withTraffic>[1];
}

export interface Settlement extends Counts {
  readonly checkpoint: CheckpointRecord;
  /** Devices whose updates are in it. */
  readonly merged: readonly string[];
  /** What devices that are still at work were given. */
  readonly decided: DecidedRecord | null;
}

export type EntryPart = Omit<RunEntry, "atMs">;

export interface RunJournalOptions {
  readonly runFolder: string;
  readonly take: TakeJournal;
  readonly resume: boolean;
  readonly nowMs: () => number;
  /** Names a new run. */
  readonly nameRun: () => string;
}

export class RunJournal {
  readonly #keeper: RecordKeeper;
  readonly #nowMs: () => number;
  #record: RunRecord;
  /** Changes that go to the disk with the next entry. */
  #noted: EntryPart = {};

  private constructor(keeper: RecordKeeper, record: RunRecord, nowMs: () => number) {
    this.#keeper = keeper;
    this.#record = record;
    this.#nowMs = nowMs;
  }

  /** Begins a run, or goes on with the one in the folder as its next incarnation. Throws ConfigError when `resume` does not fit. */
  static open({ runFolder, take, resume, nowMs, nameRun }: RunJournalOptions): RunJournal {
    const folder = journalFolder(runFolder);
    expectResume(runFolder, readRunRecord(runFolder), resume);
    let record: RunRecord | undefined;
    const keeper = take(folder, ({ records }) => {
      // Seconds of the wall clock, so that runs in different folders are in order too.
      const nowSeconds = Math.floor(nowMs() / 1000);
      record =
        records.length === 0
          ? newRecord(nameRun(), nowSeconds, nowMs())
          : reopened(readRecord(records, folder), nowMs());
      return record;
    });
    return new RunJournal(keeper, record as RunRecord, nowMs);
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** For what may be lost with this process: it is kept once something else is. */
  note(part: EntryPart): void {
    this.#noted = merged(this.#noted, part);
    this.#record = applied(this.#record, { atMs: this.#record.lastMs, ...part });
  }

  /** Throws what {@link Journal.append} does; the record is then as before. */
  append(part: EntryPart): void {
    const atMs = this.#nowMs();
    this.#keeper.append({ atMs, ...merged(this.#noted, part) } satisfies RunEntry);
    this.#noted = {};
    this.#record = applied(this.#record, { atMs, ...part });
  }

  /** Ends a round: its checkpoint takes the place of all its entries. Throws as `append` does. */
  settle({ checkpoint, merged, decided, ...counts }: Settlement): void {
    const nowMs = this.#nowMs();
    const { round, updates } = this.#record;
    const record: RunRecord = {
      ...counted(this.#record, counts),
      ...{ phaseMs: nowMs, lastMs: nowMs, checkpoint, decided },
      round: settledRound(round),
      updates: Object.fromEntries(
        Object.entries(updates).filter(([device]) => !merged.includes(device)),
      ),
    };
    this.#replace(record);
  }

  /** Ends this process's part of the run. Throws as `append` does. */
  conclude(counts: Counts): void {
    this.#replace(counted(this.#record, counts));
  }

  close(): void {
    this.#keeper.close();
  }

  #replace(record: RunRecord): void {
    this.#keeper.replace(record);
    this.#noted = {};
    this.#record = record;
  }
}

/** The record of a run, without taking it from its coordinator; undefined in a folder without one. Throws CheckpointError for damage. */
export function readRunRecord(runFolder: string): RunRecord | undefined {
  const folder = journalFolder(runFolder);
  const { records } = readJournal(folder);
  return records.length === 0 ? undefined : readRecord(records, folder);
}

/** Puts a run that nobody leads back to its last checkpoint, as the incarnation that wrote it. */
export function rewindRun(runFolder: string, epoch: number, take: TakeJournal): void {
  const folder = journalFolder(runFolder);
  const keeper = take(folder, ({ records }) => ({
    ...readRecord(records.slice(0, 1), folder),
    epoch,
  }));
  keeper.close();
}

function journalFolder(runFolder: string): string {
  return join(runFolder, "journal");
}

/** The time without a coordinator does not count as time of the phase. */
function reopened(record: RunRecord, nowMs: number): RunRecord {
  const elapsedMs = Math.max(0, record.lastMs - record.phaseMs);
  const epoch = Math.max(Math.floor(nowMs / 1000), record.epoch + 1);
  const open = record.round.fields.phase === "finished" ? unfinished(record) : record;
  return { ...open, epoch, phaseMs: nowMs - elapsedMs, lastMs: nowMs };
}

/** A run that was given up is tried again from its last checkpoint. */
function unfinished(record: RunRecord): RunRecord {
  const round = { ...newRun, round: record.checkpoint?.round ?? 0 };
  const { accepted = {} } = record.round.maps;
  const { fields, maps } = durableRound(round);
  return { ...record, round: { fields, maps: { ...maps, accepted } }, decided: null, updates: {} };
}

function counted(record: RunRecord, { dropped, traffic }: Counts): RunRecord {
  return { ...record, dropped, totals: withTraffic(record.totals, traffic) };
}

function merged(a: EntryPart, b: EntryPart): EntryPart {
  const both: EntryPart = { ...a, ...b };
  if (a.joined !== undefined) both.joined = { ...a.joined, ...b.joined };
  if (a.answers !== undefined) both.answers = [...a.answers, ...(b.answers ?? [])];
  return both;
}

/** A run that was opened but never began can be begun. */
function expectResume(runFolder: string, record: RunRecord | undefined, resume: boolean): void {
  const isBegun = record !== undefined && record.round.fields.phase !== newRun.phase;
  if ((isBegun || (record?.checkpoint ?? null) !== null) && !resume) {
    throw new ConfigError(`${runFolder} holds a run already`, {
      hint: "resume it, or choose another run folder",
    });
  }
  if (record === undefined && resume) throw new ConfigError(`${runFolder} holds no run to resume`);
}
