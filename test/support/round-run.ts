/** One round machine under test, and the inputs that tests feed it. */
import { type BufferSettings, createBufferMachine } from "../../src/coordinator/buffer-machine.ts";
import { createRoundMachine, newRun } from "../../src/coordinator/round-machine.ts";
import type {
  RoundEffect,
  RoundInput,
  RoundSettings,
  RoundState,
} from "../../src/coordinator/round-state.ts";
import { REPORT } from "./messages.ts";

/** Two rounds with at least two devices. */
const SETTINGS: RoundSettings = {
  rounds: 2,
  minDevices: 2,
  quorum: 0.6,
  maxAttempts: 2,
  roundTimeoutMs: 1000,
  joinTimeoutMs: 500,
  select: (ids) => ids,
};

/** Drives one machine and keeps what it has asked for. */
export class Run {
  state: RoundState;
  effects: RoundEffect[] = [];
  readonly #step: ReturnType<typeof createRoundMachine>;

  constructor(
    settings: Partial<RoundSettings> = {},
    state: RoundState = newRun,
    step = createRoundMachine({ ...SETTINGS, ...settings }),
  ) {
    this.#step = step;
    this.state = state;
  }

  /** Feeds inputs; `effects` then holds what the last one caused. */
  feed(...inputs: RoundInput[]): this {
    for (const input of inputs) [this.state, this.effects] = this.#step(this.state, input);
    return this;
  }

  has(kind: RoundEffect["kind"], part: Record<string, unknown> = {}): boolean {
    return this.effects.some(
      (effect) =>
        effect.kind === kind &&
        Object.entries(part).every(([key, value]) => {
          return JSON.stringify((effect as Record<string, unknown>)[key]) === JSON.stringify(value);
        }),
    );
  }
}

export const present = (device: string): RoundInput => ({ kind: "present", device });
export const left = (device: string): RoundInput => ({ kind: "left", device });
export const root = (device: string): string => `root-${device}`;
export const offered = (device: string, round = 1, name = root(device)): RoundInput => ({
  kind: "offered",
  device,
  round,
  blob: { root: name, sizeBytes: 10 },
  report: REPORT,
});
export const received = (device: string, name = root(device)): RoundInput => ({
  kind: "received",
  device,
  root: name,
});
export const deliver = (device: string): RoundInput[] => [offered(device), received(device)];
export const deadline = (round = 1, attempt = 1): RoundInput => ({
  kind: "timeout",
  timer: "round",
  round,
  attempt,
});

/** A run whose first round has started with these devices. */
export function training(devices: string[], settings: Partial<RoundSettings> = {}): Run {
  const run = new Run({ minDevices: devices.length, ...settings });
  return run.feed({ kind: "start" }, ...devices.map(present), { kind: "evaluated", round: 0 });
}

/** A run with overlapping rounds, two updates a version, whose first version these devices are asked for. */
export function buffering(devices: string[], settings: Partial<BufferSettings> = {}): Run {
  const { length: minDevices } = devices;
  const step = createBufferMachine({
    ...SETTINGS,
    minDevices,
    size: 2,
    maxStaleness: 1,
    ...settings,
  });
  const run = new Run({}, { ...newRun, started: new Map() }, step);
  return run.feed({ kind: "start" }, ...devices.map(present), { kind: "evaluated", round: 0 });
}
