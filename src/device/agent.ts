/** Carries out what the agent machine decides: hears commands, shows signs of life, and has the work done. */
import type { Clock, Timer } from "../base/clock.ts";
import { DataError, FedspineError, MemoryError } from "../base/errors.ts";
import { decodeControl } from "../protocol/envelope.ts";
import { type DeviceMessage, readCoordinatorMessage } from "../protocol/messages.ts";
import type { DeviceTopics, FleetTopics } from "../protocol/topics.ts";
import type { Rng } from "../base/rng.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import type { Transport } from "../transport/transport.ts";
import {
  type AgentEffect,
  type AgentInput,
  type AgentState,
  type FinishedWork,
  newAgent,
  stepAgent,
} from "./agent-machine.ts";
import type { AgentMemory } from "./device-memory.ts";
import { pause } from "./pause.ts";
import { EventSender } from "./event-sender.ts";
import type { Presence } from "./presence.ts";
import type { Workshop } from "./workshop.ts";

export interface AgentOptions {
  readonly topics: FleetTopics;
  readonly device: string;
  readonly presence: Presence;
  readonly capabilities: Extract<DeviceMessage, { kind: "hello" }>["capabilities"];
  readonly staysAfterRun: boolean;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly store: BlobStore;
  readonly memory: AgentMemory;
  /** What an earlier process finished and may not have delivered. */
  readonly finished: FinishedWork | null;
  readonly workshop: Workshop;
  readonly onEvent: (event: AgentEvent) => void;
}

/** What happens on the device, for its log. */
export type AgentEvent =
  | { kind: "working"; phase: AgentState["phase"]; round: number }
  | { kind: "step"; round: number; step: number; numSteps: number; loss: number | null }
  | { kind: "answered"; verdict: string }
  | { kind: "failed"; round: number; reason: string }
  /** The whole text of what went wrong, for this device's own log only: it may quote its data. */
  | { kind: "broke"; text: string }
  /** A message from the network that was not used. */
  | { kind: "message-dropped"; reason: string; detail: string }
  | { kind: "ended"; reason: string };

/** Sign of life until the coordinator has said how often it wants one. */
const FIRST_HEARTBEAT_MS = 5000;
const FAREWELL_MS = 2000;
/** Roots named in a hello, at most. */
const MAX_HAVE = 64;

export class Agent {
  readonly ended: Promise<string>;
  readonly #options: AgentOptions;
  readonly #topics: DeviceTopics;
  readonly #sender: EventSender;
  readonly #inputs: AgentInput[] = [];
  #isStepping = false;
  #isStopped = false;
  #state: AgentState;
  /** The incarnation of the coordinator that has last said what it wants. */
  #ledBy = 0;
  #heartbeatMs = FIRST_HEARTBEAT_MS;
  #beat: Timer | null = null;
  #deadline: Timer | null = null;
  #work = new AbortController();
  #end: (reason: string) => void = () => undefined;

  constructor(options: AgentOptions) {
    const { topics, device, clock, rng, finished } = options;
    this.#options = options;
    this.#topics = topics.device(device);
    this.#sender = new EventSender(this.#topics, clock, rng);
    this.#state = newAgent(finished);
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  /** The update that the coordinator may fetch. */
  get offeredRoot(): string | undefined {
    return this.#state.finished?.blob.root;
  }

  async open(transport: Transport): Promise<void> {
    const { topics } = this.#options;
    this.#sender.open(transport);
    await transport.subscribe(this.#topics.cmd, (_, payload) => this.#read(payload));
    await transport.subscribe(topics.epoch, (_, payload) => this.#read(payload));
    transport.onState((state) => {
      if (state === "connected") this.#connected();
    });
    this.#connected();
    this.#beatLater();
  }

  /** Stops working and takes leave. */
  async stop(reason: string): Promise<void> {
    this.#isStopped = true;
    this.#work.abort();
    this.#beat?.cancel();
    this.#deadline?.cancel();
    const bye = this.#send({ kind: "bye", reason });
    const offline = this.#sender.publish(
      this.#topics.st,
      this.#options.presence.payload(false),
      true,
    );
    const sent = new AbortController();
    void Promise.all([bye, offline]).then(() => sent.abort());
    // Over a link that hangs the farewell may never arrive; the will and the lease say the same.
    await pause(this.#options.clock, FAREWELL_MS, sent.signal);
    this.#end(reason);
  }

  #connected(): void {
    void this.#sender.publish(this.#topics.st, this.#options.presence.payload(true), true);
    this.#feed({ kind: "connected" });
  }

  #beatLater(): void {
    this.#beat?.cancel();
    this.#beat = this.#options.clock.after(this.#heartbeatMs, () => {
      this.#feed({ kind: "beat" });
      this.#beatLater();
    });
  }

  #read(payload: Uint8Array): void {
    const { onEvent, device, topics } = this.#options;
    const drop = (reason: string, detail: string): void =>
      onEvent({ kind: "message-dropped", reason, detail });
    const control = decodeControl(payload);
    if (!control.ok) return drop(control.reason, control.detail);
    const { epoch, seq, dev, id } = control.value;
    const read = readCoordinatorMessage(control.value);
    if (!read.ok) return drop(read.reason, read.detail);
    const message = read.value;
    if (dev !== (message.kind === "epoch" ? topics.fleet : device))
      return drop("wrong-receiver", dev);
    if (message.kind === "state" || "root" in message) void this.#send({ kind: "ack", of: id });
    switch (message.kind) {
      case "busy":
        return onEvent({ kind: "answered", verdict: "busy" });
      case "state":
        if (message.heartbeatMs !== this.#heartbeatMs) {
          this.#heartbeatMs = message.heartbeatMs;
          this.#beatLater();
        }
        this.#feed({ kind: "command", epoch, seq, wanted: message.wanted });
        if (epoch !== this.#ledBy) this.#options.workshop.askAgain();
        this.#ledBy = epoch;
        return;
      case "epoch":
        return this.#feed({ kind: "epoch", epoch, status: message.status });
      case "resync":
        return this.#feed({ kind: "resync", epoch });
      case "accept":
        onEvent({ kind: "answered", verdict: "accepted" });
        return this.#feed({ kind: "accepted", root: message.root });
      case "reject":
        onEvent({ kind: "answered", verdict: message.reason });
        return this.#feed({ kind: "rejected", root: message.root, reason: message.reason });
    }
  }

  /** Inputs that effects cause wait until the effects of the input before are done. */
  #feed(input: AgentInput): void {
    if (this.#isStopped) return;
    this.#inputs.push(input);
    if (this.#isStepping) return;
    this.#isStepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      const before = this.#state;
      const [state, effects] = stepAgent(before, next);
      this.#state = state;
      if (state.phase !== before.phase) {
        const round = (state.task ?? before.task)?.round ?? 0;
        this.#options.onEvent({ kind: "working", phase: state.phase, round });
      }
      for (const effect of effects) this.#perform(effect);
    }
    this.#isStepping = false;
  }

  #perform(effect: AgentEffect): void {
    const { memory, store, workshop, clock, onEvent, staysAfterRun } = this.#options;
    switch (effect.kind) {
      case "hello":
        return void this.#hello();
      case "heartbeat":
        return void this.#send({
          kind: "heartbeat",
          phase: this.#state.phase,
          ...this.#progress(),
        });
      case "abort":
        this.#work.abort();
        return;
      case "get-base": {
        const { serial, task } = effect;
        this.#work = new AbortController();
        const { signal } = this.#work;
        return this.#do(
          serial,
          () => workshop.getBase(task, signal),
          () => ({ kind: "base-ready", serial }),
        );
      }
      case "get-adapter": {
        const { serial, task } = effect;
        const { signal } = this.#work;
        return this.#do(
          serial,
          () => workshop.getAdapter(task, signal),
          () => ({ kind: "adapter-ready", serial }),
        );
      }
      case "train": {
        const { serial, task, key } = effect;
        const { signal } = this.#work;
        return this.#do(
          serial,
          () => workshop.train(task, key, signal),
          (finished) => ({ kind: "trained", serial, finished }),
        );
      }
      case "watch-deadline": {
        const { serial, deadlineMs } = effect;
        this.#deadline?.cancel();
        // Later than the coordinator's own deadline: its next attempt may ask for this very work.
        const graceMs = this.#heartbeatMs;
        this.#deadline = clock.after(deadlineMs + graceMs, () =>
          this.#feed({ kind: "overdue", serial }),
        );
        return;
      }
      case "remember":
        return memory.remember(effect.finished);
      case "forget":
        memory.forget();
        return void store.remove(effect.finished.blob.root);
      case "offer": {
        const { round, attempt, finished } = effect;
        const { blob, report } = finished;
        return this.#sayAgain({ kind: "offer", round, attempt, ...blob, report });
      }
      case "fail": {
        const { reason, ...failure } = effect;
        onEvent({ kind: "failed", round: effect.round, reason });
        return this.#sayAgain({ ...failure, kind: "failed", reason: reason.slice(0, 300) });
      }
      case "end":
        onEvent({ kind: "ended", reason: effect.reason });
        if (!staysAfterRun) void this.stop(effect.reason);
    }
  }

  /** Does a piece of work and feeds what came of it; the machine ignores news of work that it has dropped. */
  #do<T>(serial: number, work: () => Promise<T>, done: (result: T) => AgentInput): void {
    work().then(
      (result) => this.#feed(done(result)),
      (error: unknown) => {
        const text = error instanceof Error ? error.message : String(error);
        const reason = tellableReason(error);
        if (text !== reason) this.#options.onEvent({ kind: "broke", text });
        this.#feed({
          kind: "broke",
          serial,
          reason,
          ...(error instanceof MemoryError ? { tensorBytes: error.tensorBytes } : {}),
        });
      },
    );
  }

  #progress(): { round: number; step: number; numSteps: number; loss: number | null } {
    return { round: this.#state.task?.round ?? 0, ...this.#options.workshop.progress };
  }

  async #hello(): Promise<void> {
    const { presence, capabilities, store } = this.#options;
    const have = (await store.list()).slice(0, MAX_HAVE);
    await this.#send({ kind: "hello", boot: presence.boot, capabilities, have });
  }

  #send(message: DeviceMessage): Promise<void> {
    return this.#sender.send(message, this.#position);
  }

  #sayAgain(message: DeviceMessage): void {
    void this.#sender.sendAgain(message, this.#position);
  }

  get #position(): { epoch: number; round: number } {
    const { epoch, task } = this.#state;
    return { epoch, round: task?.round ?? 0 };
  }
}

/** What the coordinator may hear: errors about data quote them, and those that are not ours may quote anything. */
function tellableReason(error: unknown): string {
  if (error instanceof DataError) return "the device's data do not fit the task; its log says why";
  if (error instanceof FedspineError) return error.message;
  const name = error instanceof Error ? error.name : "an unknown fault";
  return `${name} on the device; its log says more`;
}
