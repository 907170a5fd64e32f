/** Who is here: identities, process starts, and the leases that signs of life renew. */
import type { BaseDtype } from "../base/base-dtype.ts";
import type { Clock } from "../base/clock.ts";

/** What a device says about itself. */
export interface Profile {
  readonly type: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** What it holds the frozen base in; float32 where it does not say. */
  readonly baseDtype?: BaseDtype;
  /** What it found that it has for tensors, when it refused a plan; absent before that. */
  readonly tensorBytes?: number;
  /** The base model is there already. */
  readonly hasBase: boolean;
}

/** What a sign of life means: someone new or back, nothing new, someone without a hello, or a second device with a taken id. */
export type Arrival = "joined" | "known" | "unknown" | "displaced";

export type Departure = { readonly device: string; readonly reason: "silent" | "cut-off" };

interface Entry {
  boot: string;
  /** Earlier process starts; one that speaks again is another machine with the same id. */
  readonly pastBoots: Set<string>;
  profile: Profile;
  isPresent: boolean;
  leaseEndsMs: number;
  isCutOff: boolean;
}

const UNKNOWN_BOOT = "";

export interface RosterOptions {
  readonly clock: Clock;
  /** How long a device may be silent. */
  readonly leaseMs: number;
  /** How long a device may stay away after the broker has announced that its connection broke. */
  readonly graceMs: number;
}

export class Roster {
  readonly #options: RosterOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  hello(device: string, boot: string, profile: Profile): Exclude<Arrival, "unknown"> {
    const entry = this.#entries.get(device);
    if (entry === undefined) {
      const isPresent = false;
      const fresh = {
        boot,
        profile,
        isPresent,
        pastBoots: new Set<string>(),
        leaseEndsMs: 0,
        isCutOff: false,
      };
      this.#entries.set(device, fresh);
      return this.#renew(fresh);
    }
    if (entry.pastBoots.has(boot)) return "displaced";
    if (entry.boot === boot) {
      const { tensorBytes } = entry.profile;
      entry.profile = tensorBytes === undefined ? profile : { ...profile, tensorBytes };
      return this.#renew(entry);
    }
    entry.profile = profile;
    if (entry.boot !== UNKNOWN_BOOT) entry.pastBoots.add(entry.boot);
    entry.boot = boot;
    entry.isPresent = false;
    return this.#renew(entry);
  }

  /** A device that was here before this process began: it has a lease to say hello in. */
  expect(device: string, profile: Profile): void {
    const { clock, leaseMs } = this.#options;
    const leaseEndsMs = clock.nowMs() + leaseMs;
    const state = { isPresent: true, isCutOff: false, leaseEndsMs };
    this.#entries.set(device, { boot: UNKNOWN_BOOT, pastBoots: new Set(), profile, ...state });
  }

  /** Whoever says hello with this id next is taken as new. */
  forget(device: string): void {
    this.#entries.delete(device);
  }

  /** Any other message of a device. */
  seen(device: string): "joined" | "known" | "unknown" {
    const entry = this.#entries.get(device);
    return entry === undefined ? "unknown" : this.#renew(entry);
  }

  /** The broker has announced that a connection broke; ignored when a newer process start has said hello. */
  cutOff(device: string, boot: string): void {
    const entry = this.#entries.get(device);
    if (entry === undefined || entry.boot !== boot || !entry.isPresent) return;
    entry.isCutOff = true;
    entry.leaseEndsMs = Math.min(
      entry.leaseEndsMs,
      this.#options.clock.nowMs() + this.#options.graceMs,
    );
  }

  /** Orderly departure; true when the device was here. */
  bye(device: string): boolean {
    const entry = this.#entries.get(device);
    if (entry === undefined || !entry.isPresent) return false;
    entry.isPresent = false;
    return true;
  }

  /** Takes out and returns those whose lease is over. */
  expire(): Departure[] {
    const nowMs = this.#options.clock.nowMs();
    const gone: Departure[] = [];
    for (const [device, entry] of this.#entries) {
      if (!entry.isPresent || entry.leaseEndsMs > nowMs) continue;
      entry.isPresent = false;
      gone.push({ device, reason: entry.isCutOff ? "cut-off" : "silent" });
    }
    return gone;
  }

  /** Fresh leases for all who are here: after a time in which this side could not hear. */
  renewAll(): void {
    for (const entry of this.#entries.values()) {
      if (entry.isPresent) this.#renew(entry);
    }
  }

  /** A device has refused a plan for lack of memory; it counts until the process starts anew. */
  limitTensors(device: string, tensorBytes: number): void {
    const entry = this.#entries.get(device);
    if (entry !== undefined) entry.profile = { ...entry.profile, tensorBytes };
  }

  profile(device: string): Profile | undefined {
    return this.#entries.get(device)?.profile;
  }

  #renew(entry: Entry): "joined" | "known" {
    const { clock, leaseMs } = this.#options;
    entry.leaseEndsMs = clock.nowMs() + leaseMs;
    entry.isCutOff = false;
    const wasPresent = entry.isPresent;
    entry.isPresent = true;
    return wasPresent ? "known" : "joined";
  }
}
