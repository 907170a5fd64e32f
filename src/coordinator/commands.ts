/** Tells each device what it shall be doing: the state that is wanted, with the plan and the adapter that are meant for it. */
import type { Clock } from "../base/clock.ts";
import type { WantedState } from "../protocol/messages.ts";
import type { BlobRef } from "../transfer/blob-store.ts";
import type { BaseFile } from "./base-files.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { ControlChannel } from "./control-channel.ts";
import type { Downlink } from "./downlink.ts";
import { planOf } from "./plan.ts";
import { taskRound, wantedKind } from "./round-machine.ts";
import type { RoundState } from "./round-state.ts";
import type { Steering } from "./steering.ts";

export interface CommandsOptions {
  readonly config: CoordinatorConfig;
  /** Names the run across restarts. */
  readonly run: string;
  readonly clock: Clock;
  readonly channel: ControlChannel;
  readonly downlink: Downlink;
  readonly steering: Steering;
  readonly baseFiles: readonly BaseFile[];
  /** What the run is doing now. */
  readonly state: () => RoundState;
}

export class Commands {
  readonly #options: CommandsOptions;
  #roundEndsMs = 0;

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /** Time at which the attempt under way ends, for the deadlines of its tasks. */
  closeAt(roundEndsMs: number): void {
    this.#roundEndsMs = roundEndsMs;
  }

  /** Rejects when the device's adapter cannot be made. */
  async send(device: string): Promise<void> {
    const { state, downlink, steering } = this.#options;
    const before = state();
    if (wantedKind(before, device) !== "train") {
      this.#sendState(device, null);
      return;
    }
    const round = taskRound(before, device);
    const adapter = await downlink.blobFor(steering.cutOf(device), round);
    // Whatever has superseded this command meanwhile has sent its own.
    const isStill = taskRound(state(), device) === round && wantedKind(state(), device) === "train";
    if (isStill) this.#sendState(device, adapter);
  }

  #sendState(device: string, adapter: BlobRef | null): void {
    const { channel, config, state } = this.#options;
    const { heartbeatMs } = config;
    const wanted = this.#wanted(device, adapter);
    void channel.send(device, { kind: "state", wanted, heartbeatMs }, state().round);
  }

  /** Where rounds overlap a task may take as long as the versions that it may miss. */
  #deadlineMs(nowMs: number): number {
    const { mode, roundTimeoutMs } = this.#options.config;
    return mode.kind === "buffered"
      ? roundTimeoutMs * (mode.maxStaleness + 1)
      : Math.max(0, this.#roundEndsMs - nowMs);
  }

  #wanted(device: string, adapter: BlobRef | null): WantedState {
    const { state, config, run, steering, baseFiles, clock } = this.#options;
    const { attempt, reason } = state();
    const round = taskRound(state(), device);
    const kind = wantedKind(state(), device);
    if (kind === "idle") return { kind };
    if (kind === "finished") return { kind, reason: reason.slice(0, 300) };
    const base = { files: [...baseFiles] };
    const plan = planOf(config, round, steering.choiceOf(device));
    const deadlineMs = this.#deadlineMs(clock.nowMs());
    return { kind, run, round, attempt, base, adapter, plan, deadlineMs };
  }
}
