/** Has it decided what devices get, and written down before they are told. */
import type { Profile } from "./roster.ts";
import type { DecidedRecord } from "./run-record.ts";
import type { Decisions, Steering } from "./steering.ts";
import type { StepLog } from "./step-log.ts";

export interface RoundChoicesParts {
  readonly steering: Steering;
  readonly log: StepLog;
  /** Of a device that is asked: a new process has to know it before the device says hello again. */
  readonly profileOf: (device: string) => Profile | undefined;
}

export class RoundChoices {
  readonly #parts: RoundChoicesParts;
  /** Made but perhaps not yet written down. */
  #deciding: { readonly key: string; readonly decisions: Decisions } | null = null;

  constructor(parts: RoundChoicesParts) {
    this.#parts = parts;
  }

  /** Throws what {@link StepLog.decided} does; asked again it decides the same. */
  decide(round: number, serial: number, devices: readonly string[]): Decisions {
    const { steering, log } = this.#parts;
    const key = `${round}/${serial}`;
    if (this.#deciding?.key !== key) {
      this.#deciding = { key, decisions: steering.decide(round, serial, devices) };
    }
    const record = this.#recordOf(round, serial, devices);
    if (record !== null) log.decided(record);
    return this.#deciding.decisions;
  }

  /** What devices that are still at work after `round` were given; null when there are none. */
  pending(round: number): DecidedRecord | null {
    return this.#recordOf(round, 1, Object.keys(this.#parts.steering.decisions()));
  }

  #recordOf(round: number, attempt: number, devices: readonly string[]): DecidedRecord | null {
    const { steering, profileOf } = this.#parts;
    const asked = new Set(devices);
    const choices = Object.entries(steering.decisions()).filter(([device]) => asked.has(device));
    if (choices.length === 0) return null;
    const profiles = choices.flatMap(([device]): [string, Profile][] => {
      const profile = profileOf(device);
      return profile === undefined ? [] : [[device, profile]];
    });
    return {
      ...{ round, attempt, controller: steering.export().controller.state },
      ...{ choices: Object.fromEntries(choices), profiles: Object.fromEntries(profiles) },
    };
  }
}
