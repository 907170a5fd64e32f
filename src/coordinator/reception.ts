/** Takes in what devices send: keeps the roster and its leases, and passes on what concerns the round. */
import type { Clock, Timer } from "../base/clock.ts";
import type { DeviceMessage } from "../protocol/messages.ts";
import type { TransportState } from "../transport/transport.ts";
import type {
  ControlChannel,
  ControlListener,
  HeardMessage,
  MessageOrigin,
} from "./control-channel.ts";
import type { Roster } from "./roster.ts";
import type { RoundInput } from "./round-state.ts";
import type { RunEvent } from "./run-events.ts";
import type { RunJournal } from "./run-journal.ts";
import type { DropTally } from "./tallies.ts";
import { QUARANTINE_MS, TwinWatch } from "./twin-watch.ts";

export interface ReceptionParts {
  readonly clock: Clock;
  readonly channel: ControlChannel;
  readonly roster: Roster;
  readonly journal: Pick<RunJournal, "note">;
  readonly drops: DropTally;
  readonly heartbeatMs: number;
  readonly baseRoots: ReadonlySet<string>;
  readonly tell: (event: RunEvent) => void;
}

/** What the reception needs to know of the run, and what it reports to it. */
export interface RoundHost {
  readonly round: number;
  /** True while nothing can be written down: devices are to keep what they have. */
  readonly isBusy: boolean;
  /** Whether a message that offers a blob was answered before; then it gets the same answer again. */
  repeats(device: string, id: string, root: string): boolean;
  feed(input: RoundInput): void;
  /** Sends the device its wanted state when the heartbeat shows that it does something else. */
  reconcile(device: string, heartbeat: Extract<DeviceMessage, { kind: "heartbeat" }>): void;
  interrupt(reason: string, farewell: "gone" | null): void;
}

/** Why the older of two coordinators ends. */
export const DISPLACED = "another coordinator of this fleet has taken over";

export class Reception implements ControlListener {
  readonly #parts: ReceptionParts;
  readonly #host: RoundHost;
  readonly #twins: TwinWatch;
  #link: TransportState = "connected";
  #checkedMs = 0;
  #timer: Timer | null = null;

  constructor(parts: ReceptionParts, host: RoundHost) {
    this.#parts = parts;
    this.#host = host;
    this.#twins = new TwinWatch(parts.clock);
  }

  /** Starts watching the leases. */
  open(): void {
    this.#checkedMs = this.#parts.clock.nowMs();
    this.#watch();
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** While the link is down nobody can be heard, so no lease runs out; a restarted broker has forgotten the epoch. */
  linkChanged(state: TransportState): void {
    this.#link = state;
    if (state !== "connected") return;
    this.#parts.roster.renewAll();
    void this.#parts.channel.announce("here");
  }

  displaced(): void {
    this.#host.interrupt(DISPLACED, null);
  }

  dropped(device: string | null, reason: string, detail: string): void {
    const isFirst = this.#parts.drops.add(reason);
    if (isFirst) this.#parts.tell({ kind: "message-dropped", device, reason, detail });
  }

  heard(device: string, message: HeardMessage, { epoch, id }: MessageOrigin): void {
    const { channel, roster } = this.#parts;
    if (message.kind === "presence") {
      if (!message.online) roster.cutOff(device, message.boot);
      return;
    }
    if (this.#host.isBusy) return void channel.send(device, { kind: "busy" }, this.#host.round);
    if (message.kind === "hello" && this.#twins.hello(device, message.boot)) this.#part(device);
    if (this.#twins.isQuarantined(device)) return this.dropped(device, "quarantined", message.kind);
    if (epoch > channel.epoch && channel.outgrow(epoch)) void channel.announce("here");
    if (message.kind === "hello") return this.#greet(device, message);
    if (message.kind === "bye") {
      if (roster.bye(device)) this.#left(device, "said-bye");
      return;
    }
    const isKnown = epoch === channel.epoch && this.#renew(device);
    if (isKnown) return this.#pass(device, message, id);
    this.dropped(device, epoch === channel.epoch ? "no-hello" : "stale-epoch", message.kind);
    void channel.send(device, { kind: "resync" }, this.#host.round);
  }

  #greet(device: string, hello: Extract<DeviceMessage, { kind: "hello" }>): void {
    const { roster, baseRoots } = this.#parts;
    const { kind: type, ...machine } = hello.capabilities;
    const hasBase = [...baseRoots].every((root) => hello.have.includes(root));
    const arrival = roster.hello(device, hello.boot, { type, ...machine, hasBase });
    if (arrival === "displaced") return this.dropped(device, "taken-id", "two devices use this id");
    if (arrival === "joined") this.#joined(device);
    this.#host.feed({ kind: "present", device });
  }

  /** Takes out both machines of an id. */
  #part(device: string): void {
    const { roster, channel, tell } = this.#parts;
    roster.forget(device);
    channel.forget(device);
    tell({ kind: "device-quarantined", device, forMs: QUARANTINE_MS });
    this.#host.feed({ kind: "left", device });
  }

  /** Renews the lease; false for a device that has not said hello to this coordinator. */
  #renew(device: string): boolean {
    const arrival = this.#parts.roster.seen(device);
    if (arrival === "joined") {
      this.#joined(device);
      this.#host.feed({ kind: "present", device });
    }
    return arrival !== "unknown";
  }

  #joined(device: string): void {
    const { roster, journal, tell } = this.#parts;
    const profile = roster.profile(device);
    if (profile === undefined) return;
    journal.note({ joined: { [device]: profile.type } });
    tell({ kind: "device-joined", device, ...profile });
  }

  #left(device: string, reason: "silent" | "cut-off" | "said-bye"): void {
    this.#parts.tell({ kind: "device-left", device, reason });
    this.#parts.channel.forget(device);
    this.#host.feed({ kind: "left", device });
  }

  #pass(
    device: string,
    message: Exclude<HeardMessage, { kind: "hello" | "bye" | "presence" }>,
    id: string,
  ): void {
    switch (message.kind) {
      case "heartbeat": {
        const { kind: _, ...progress } = message;
        if (message.phase !== "idle")
          this.#parts.tell({ kind: "device-progress", device, ...progress });
        return this.#host.reconcile(device, message);
      }
      case "offer": {
        const { round, root, sizeBytes, report } = message;
        if (this.#host.repeats(device, id, root)) return;
        return this.#host.feed({
          kind: "offered",
          device,
          round,
          blob: { root, sizeBytes },
          report,
        });
      }
      case "failed": {
        const { tensorBytes, ...failure } = message;
        if (tensorBytes !== undefined) this.#parts.roster.limitTensors(device, tensorBytes);
        return this.#host.feed({ ...failure, device });
      }
    }
  }

  #watch(): void {
    const { roster, clock, heartbeatMs } = this.#parts;
    const intervalMs = heartbeatMs / 2;
    const sinceMs = clock.nowMs() - this.#checkedMs;
    this.#checkedMs = clock.nowMs();
    // After a stall of this process the signs of life are still in its queue.
    if (sinceMs > 2 * intervalMs || this.#host.isBusy) roster.renewAll();
    if (this.#link === "connected") {
      for (const { device, reason } of roster.expire()) this.#left(device, reason);
    }
    this.#timer = clock.after(intervalMs, () => this.#watch());
  }
}
