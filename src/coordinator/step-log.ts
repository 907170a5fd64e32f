/** Writes down what each step of the round machine changes, before anybody is told of it. */
import type { BlobRef } from "../transfer/blob-store.ts";
import { durableRound, roundPatch } from "./durable-round.ts";
import type { RoundEffect, RoundState } from "./round-state.ts";
import type { ReceivedUpdate } from "./round-results.ts";
import type { EntryPart, RunJournal } from "./run-journal.ts";
import type { AnswerRecord, DecidedRecord } from "./run-record.ts";
import type { DropTally } from "./tallies.ts";

interface Arrival {
  readonly blob: BlobRef;
  readonly round: number;
  readonly update: ReceivedUpdate;
}

export class StepLog {
  readonly #journal: RunJournal;
  readonly #drops: DropTally;
  readonly #arrivals = new Map<string, Arrival>();
  /** By device and root: the message that offered it last. */
  readonly #offers = new Map<string, string>();

  constructor(journal: RunJournal, drops: DropTally) {
    this.#journal = journal;
    this.#drops = drops;
  }

  /** An update is in the store; it counts once a step accepts it. */
  arrived(device: string, arrival: Arrival): void {
    this.#arrivals.set(device, arrival);
  }

  /** What a message was answered with before, or undefined: then its answer will be remembered. */
  answerTo(device: string, id: string, root: string): AnswerRecord | undefined {
    const known = this.#journal.record.answers[device]?.find((answer) => answer.id === id);
    if (known === undefined) this.#offers.set(`${device} ${root}`, id);
    return known;
  }

  /** Throws what {@link RunJournal.append} does; then the step must not be taken. */
  write(state: RoundState, effects: readonly RoundEffect[]): void {
    const entry: EntryPart = {};
    const round = roundPatch(this.#journal.record.round, durableRound(state));
    if (round !== null) entry.round = round;
    const accepted = effects.flatMap((effect) => this.#acceptedBy(effect));
    if (accepted.length > 0) entry.accepted = Object.fromEntries(accepted);
    const answers = effects.flatMap((effect) => this.#answerIn(effect));
    if (answers.length > 0) entry.answers = answers;
    const refused = effects.flatMap((effect) =>
      effect.kind === "reject" ? [`update-${effect.reason}`] : [],
    );
    if (round === null && accepted.length === 0) {
      if (answers.length > 0) this.#journal.note(entry);
    } else {
      this.#journal.append({ ...entry, dropped: this.#drops.with(refused) });
    }
    for (const reason of refused) this.#drops.add(reason);
    for (const [device] of accepted) this.#arrivals.delete(device);
    for (const { device, root } of answers) this.#offers.delete(`${device} ${root}`);
  }

  /** Throws what {@link RunJournal.append} does. */
  decided(decided: DecidedRecord): void {
    this.#journal.append({ decided });
  }

  #acceptedBy(effect: RoundEffect): [string, NonNullable<EntryPart["accepted"]>[string]][] {
    if (effect.kind !== "accept") return [];
    const arrival = this.#arrivals.get(effect.device);
    if (arrival?.blob.root !== effect.root) return [];
    const { blob, round, update } = arrival;
    const { report, uploadMs, rank, sparsity } = update;
    return [[effect.device, { ...blob, round, report, uploadMs, rank, sparsity }]];
  }

  #answerIn(effect: RoundEffect): AnswerRecord[] {
    if (effect.kind !== "accept" && effect.kind !== "reject") return [];
    const { device, root } = effect;
    const id = this.#offers.get(`${device} ${root}`);
    const reason = effect.kind === "reject" ? effect.reason : null;
    return id === undefined ? [] : [{ device, id, root, reason }];
  }
}
