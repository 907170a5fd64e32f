/** Carries out what the round machine decides and tells it what came of it: commands, timers, transfers and jobs. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock, Timer } from "../base/clock.ts";
import { DisplacedError } from "../base/errors.ts";
import type { DeviceMessage } from "../protocol/messages.ts";
import type { Selector } from "../strategies/selection/selector.ts";
import type { BlobRef } from "../transfer/blob-store.ts";
import type { BaseFile } from "./base-files.ts";
import { Commands } from "./commands.ts";
import type { ControlChannel } from "./control-channel.ts";
import { courseOf } from "./course.ts";
import { DiskGuard, isDiskFault } from "./disk-guard.ts";
import { DurableSteps } from "./durable-steps.ts";
import { DISPLACED, type RoundHost } from "./reception.ts";
import type { Profile } from "./roster.ts";
import type { ReceivedUpdate } from "./round-results.ts";
import { isPending, taskRound, wantedKind } from "./round-machine.ts";
import type { RoundEffect, RoundInput, RoundState, TimerName } from "./round-state.ts";
import type { RunSummary } from "./run-events.ts";
import type { Recovered } from "./recovery.ts";
import { RoundChoices } from "./round-choices.ts";
import { RoundJobs, type RoundJobsParts } from "./round-jobs.ts";
import { StepLog } from "./step-log.ts";

export interface CoordinatorParts extends RoundJobsParts {
  /** Names the run across restarts. */
  readonly run: string;
  readonly clock: Clock;
  readonly channel: ControlChannel;
  readonly recovered: Recovered;
  readonly profileOf: (device: string) => Profile | undefined;
  /** Writes so many bytes to the disk that the run is kept on, and removes them. */
  readonly probe: (sizeBytes: number) => void;
  readonly selector: Selector;
  readonly baseFiles: readonly BaseFile[];
}

export interface Outcome {
  readonly ok: boolean;
  readonly ending: RunSummary["ending"];
  readonly reason: string;
  /** What the fleet is told: the run is over, its coordinator is away for a while, or nothing since another one speaks now. */
  readonly farewell: "ended" | "gone" | null;
}

/** How long devices have to say goodbye when a run ends. */
const FAREWELL_MS = 3000;

export class Coordinator implements RoundHost {
  readonly ended: Promise<Outcome>;
  readonly #parts: CoordinatorParts;
  readonly #steps: DurableSteps;
  readonly #log: StepLog;
  readonly #disk: DiskGuard;
  readonly #timers = new Map<TimerName | "farewell", Timer>();
  readonly #commands: Commands;
  readonly #choices: RoundChoices;
  readonly #jobs: RoundJobs;
  #outcome: Outcome | null = null;
  #end: (outcome: Outcome) => void = () => undefined;

  constructor(parts: CoordinatorParts) {
    const { clock, probe, tell, journal, drops, recovered } = parts;
    this.#parts = parts;
    this.#commands = new Commands({ ...parts, state: () => this.#state });
    this.#log = new StepLog(journal, drops);
    this.#disk = new DiskGuard({ clock, probe, tell, onFree: () => this.#diskFreed() });
    this.#choices = new RoundChoices({ ...parts, log: this.#log });
    this.#jobs = new RoundJobs(parts, this.#choices, this.#disk);
    this.#steps = new DurableSteps({
      step: courseOf(parts),
      state: recovered.state,
      write: (state, effects) => this.#log.write(state, effects),
      perform: (effect) => this.#perform(effect),
      goesOn: (error) => this.#goesOn(error),
    });
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  get #state(): RoundState {
    return this.#steps.state;
  }

  get round(): number {
    return this.#state.round;
  }

  /** Ends the run at once; devices are not dismissed, so that another process can go on with it. */
  interrupt(reason: string, farewell: "gone" | null): void {
    if (this.#outcome !== null) return;
    this.#steps.close();
    const ending = farewell === null ? "displaced" : "interrupted";
    this.#outcome = { ok: false, ending, reason, farewell };
    this.#parts.tell({ kind: "finished", ok: false, reason });
    this.#leave();
  }

  /** True while the disk takes nothing: then devices are to keep what they have. */
  get isBusy(): boolean {
    return this.#disk.isBlocked;
  }

  start(): void {
    this.feed({ kind: "start", elapsedMs: this.#parts.recovered.elapsedMs });
  }

  feed(input: RoundInput): void {
    this.#steps.feed(input);
    if (this.#outcome !== null && this.#state.present.size === 0) this.#leave();
  }

  repeats(device: string, id: string, root: string): boolean {
    const known = this.#log.answerTo(device, id, root);
    if (known === undefined) return false;
    const { reason } = known;
    this.#send(
      device,
      reason === null ? { kind: "accept", root } : { kind: "reject", root, reason },
    );
    return true;
  }

  reconcile(device: string, heartbeat: Extract<DeviceMessage, { kind: "heartbeat" }>): void {
    const wanted = wantedKind(this.#state, device);
    const isIdle = heartbeat.phase === "idle";
    const isAtWork = !isIdle && heartbeat.round === taskRound(this.#state, device);
    const agrees = wanted === "train" ? isAtWork : wanted === "idle" && isIdle;
    if (!agrees) this.#command(device);
  }

  #perform(effect: RoundEffect): void {
    const { inbox, clock, tell, results } = this.#parts;
    switch (effect.kind) {
      case "begin":
        return this.#begin(effect);
      case "ask":
        return this.#ask(effect);
      case "command":
        return this.#command(effect.device);
      case "arm": {
        const { timer, delayMs, round, attempt } = effect;
        if (timer === "round") this.#commands.closeAt(clock.nowMs() + delayMs);
        return this.#arm(timer, delayMs, () =>
          this.feed({ kind: "timeout", timer, round, attempt }),
        );
      }
      case "disarm":
        return this.#timers.get(effect.timer)?.cancel();
      case "fetch":
        return void this.#fetch(effect);
      case "abandon":
        return inbox.abandon(effect.device);
      case "accept":
        return this.#send(effect.device, { kind: "accept", root: effect.root });
      case "reject": {
        const { device, root, reason } = effect;
        return this.#send(device, { kind: "reject", root, reason });
      }
      case "aggregate": {
        const { round, devices } = effect;
        const received = results.close(devices, clock.nowMs());
        return void this.#job({ kind: "aggregated", round }, () =>
          this.#jobs.merge(devices, { round, received, pending: this.#pending() }),
        );
      }
      case "evaluate": {
        const { round } = effect;
        return void this.#job({ kind: "evaluated", round }, () => this.#jobs.measure(round));
      }
      case "save": {
        const { round } = effect;
        return void this.#job({ kind: "saved", round }, () => this.#jobs.save(round));
      }
      case "tell":
        return tell(effect.event);
      case "finish":
        return this.#finish(effect);
    }
  }

  #finish({ ok, reason }: Extract<RoundEffect, { kind: "finish" }>): void {
    this.#outcome = { ok, ending: ok ? "done" : "failed", reason, farewell: "ended" };
    this.#arm("farewell", FAREWELL_MS, () => this.#leave());
  }

  #ask({ round, serial, devices }: Extract<RoundEffect, { kind: "ask" }>): void {
    const { tell } = this.#parts;
    const { choices, events } = this.#choices.decide(round, serial, devices);
    tell({ kind: "devices-asked", round, devices, choices });
    events.forEach(tell);
  }

  /** Devices that are at work on tasks which outlive the round. */
  #pending(): Set<string> {
    const { started, tasks } = this.#state;
    const pending = [...tasks].filter(([, task]) => isPending(task) || task.status === "done");
    return new Set(started === undefined ? [] : pending.map(([device]) => device));
  }

  #begin({ round, attempt, devices }: Extract<RoundEffect, { kind: "begin" }>): void {
    const { steering, clock, config, tell } = this.#parts;
    this.#parts.results.begin(attempt, clock.nowMs());
    steering.exclusions([...this.#state.present].sort(), round).forEach(tell);
    const { choices, events } = this.#choices.decide(round, attempt, devices);
    const { roundTimeoutMs: timeoutMs } = config;
    tell({ kind: "round-started", round, attempt, devices, timeoutMs, choices });
    events.forEach(tell);
  }

  /** Whether the run goes on without what has failed. */
  #goesOn(error: unknown): boolean {
    if (isDiskFault(error)) this.#disk.block(error);
    else this.#stop(error);
    return !isDiskFault(error);
  }

  /** The disk takes data again: whoever is here is told what to do, for that may have got lost. */
  #diskFreed(): void {
    this.#steps.resume();
    for (const device of this.#state.present) this.#command(device);
  }

  #stop(error: unknown): void {
    if (error instanceof DisplacedError) return this.interrupt(DISPLACED, null);
    this.feed({ kind: "stop", reason: error instanceof Error ? error.message : String(error) });
  }

  /** Does one job of a round, after the messages sent so far have left; what it throws ends the run. */
  async #job(done: RoundInput, work: () => Promise<void>): Promise<void> {
    try {
      await nextTurn();
      await work();
      this.feed(done);
    } catch (error) {
      this.#stop(error);
    }
  }

  async #fetch(wanted: Extract<RoundEffect, { kind: "fetch" }>): Promise<void> {
    const { inbox, steering } = this.#parts;
    const { device, round, blob, report } = wanted;
    const { numSamples } = report;
    const expected = steering.expectationOf(device);
    const verdict = await inbox.fetch({ device, round, blob, numSamples, expected });
    const { root } = blob;
    if (verdict.kind === "broken") {
      if (isDiskFault(verdict.cause)) this.#disk.block(verdict.cause, blob.sizeBytes);
      this.feed({ kind: "fetch-broken", device, root });
      return;
    }
    if (verdict.kind === "refused") {
      this.feed({ ...verdict, device, root });
      return;
    }
    const task = this.#state.tasks.get(device);
    const isWanted = task?.status === "fetching" && task.blob.root === root;
    if (isWanted && taskRound(this.#state, device) === round) {
      const { uploadMs, update } = verdict;
      const { structure, sparsity, rank } = update;
      const received = { report, uploadMs, structure, sparsity, rank };
      this.#log.arrived(device, { blob, round, update: received });
      this.#count(device, received, blob);
    }
    this.feed({ kind: "received", device, root });
  }

  #count(device: string, received: ReceivedUpdate, { sizeBytes: updateBytes }: BlobRef): void {
    const { tell } = this.#parts;
    const { report, uploadMs, rank, sparsity } = received;
    const { bytesUp: _, ...told } = report;
    const round = taskRound(this.#state, device);
    this.#parts.results.add(device, received);
    const seen = { updateBytes, uploadMs, rank, sparsity };
    tell({ kind: "update-received", round, device, ...told, ...seen });
  }

  #command(device: string): void {
    this.#commands.send(device).catch((error: unknown) => this.#goesOn(error));
  }

  #send(device: string, message: Parameters<ControlChannel["send"]>[1]): void {
    void this.#parts.channel.send(device, message, this.#state.round);
  }

  #arm(name: TimerName | "farewell", delayMs: number, action: () => void): void {
    this.#timers.get(name)?.cancel();
    this.#timers.set(name, this.#parts.clock.after(delayMs, action));
  }

  #leave(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#disk.close();
    if (this.#outcome !== null) this.#end(this.#outcome);
  }
}
