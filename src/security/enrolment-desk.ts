/** Decides what a device that wants to enrol is told: codes, register and certificates, without any network. */
import { randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import { AttemptLimit } from "./attempt-limit.ts";
import { CodeStore } from "./enrolment-code.ts";
import { type EnrolmentAnswer, type EnrolmentDemand, readDemand } from "./enrolment-messages.ts";
import type { FleetFolder } from "./fleet-folder.ts";
import type { Entry } from "./register.ts";

/** What happened at the desk, for the operator. */
export type DeskEvent =
  | { kind: "asked"; device: string; type: string; address: string; preauthorised: boolean }
  | { kind: "delivered"; device: string; address: string }
  | { kind: "refused"; reason: string; address: string };

export interface DeskOptions {
  readonly fleet: FleetFolder;
  readonly clock: Clock;
  readonly onEvent: (event: DeskEvent) => void;
}

/** A device asks every few seconds; several may share one address. */
const ASKS = { burst: 60, intervalMs: 200 };
/** Wrong codes of one address, and of all together. */
const WRONG = { burst: 5, intervalMs: 12_000 };
const WRONG_IN_ALL = { burst: 60, intervalMs: 1000 };

export class EnrolmentDesk {
  readonly #options: DeskOptions;
  readonly #codes: CodeStore;
  readonly #asks: AttemptLimit;
  readonly #wrong: AttemptLimit;
  readonly #wrongInAll: AttemptLimit;
  readonly #delivered = new Set<string>();

  constructor(options: DeskOptions) {
    const { clock, fleet } = options;
    this.#options = options;
    this.#codes = new CodeStore(fleet.codesFolder);
    this.#asks = new AttemptLimit(clock, ASKS.burst, ASKS.intervalMs);
    this.#wrong = new AttemptLimit(clock, WRONG.burst, WRONG.intervalMs);
    this.#wrongInAll = new AttemptLimit(clock, WRONG_IN_ALL.burst, WRONG_IN_ALL.intervalMs);
  }

  /** The answer to one request. Throws only when the disk refuses. */
  answer(body: Uint8Array, address: string): EnrolmentAnswer {
    if (
      !this.#asks.allows(address) ||
      !this.#wrong.allows(address) ||
      !this.#wrongInAll.allows("")
    ) {
      return this.#refuse("too-many-attempts", address);
    }
    this.#asks.spend(address);
    const demand = readDemand(body);
    if (typeof demand === "string") return this.#refuse(demand, address);
    const claim = this.#codes.claim(demand.secret);
    if (claim === undefined) return this.#firstTime(demand, address);
    if (claim.signKey !== demand.signKey) return this.#wrongCode(address);
    return this.#decision(claim.device, demand.signKey, address);
  }

  #firstTime(demand: EnrolmentDemand, address: string): EnrolmentAnswer {
    const { fleet, clock, onEvent } = this.#options;
    const ticket = this.#codes.find(demand.secret, clock.nowMs());
    if (ticket === undefined) return this.#wrongCode(address);
    const device = ticket.device ?? demand.device ?? `device-${randomBytes(6).toString("hex")}`;
    const mayReplace = ticket.device !== null;
    const { tlsKey, signKey, type } = demand;
    if (!fleet.register.mayRequest(device, signKey, mayReplace)) {
      return this.#refuse("id-taken", address);
    }
    if (!this.#codes.use(demand.secret, { device, signKey })) return this.#wrongCode(address);
    const atMs = clock.nowMs();
    fleet.register.request(device, { tlsKey, signKey, type, address, atMs });
    const { preauthorised } = ticket;
    onEvent({ kind: "asked", device, type, address, preauthorised });
    if (preauthorised) fleet.register.accept(device, fleet.issuer(), atMs);
    return this.#decision(device, signKey, address);
  }

  #decision(device: string, signKey: string, address: string): EnrolmentAnswer {
    const entry = this.#options.fleet.register.find(device);
    if (entry?.request?.signKey === signKey) return { state: "pending", device };
    if (entry?.state === "active" && entry.signKey === signKey && entry.certificate !== null) {
      return this.#deliver(entry, entry.certificate, address);
    }
    return { state: "rejected", device };
  }

  #deliver({ id, changedAtMs }: Entry, certificate: string, address: string): EnrolmentAnswer {
    const { fleet, onEvent } = this.#options;
    const key = `${id} ${changedAtMs}`;
    if (!this.#delivered.has(key)) onEvent({ kind: "delivered", device: id, address });
    this.#delivered.add(key);
    const { authorityPem: authority, coordinatorKey, info } = fleet;
    const { fleet: name, broker } = info;
    return {
      ...{ state: "accepted", device: id, fleet: name, broker },
      ...{ certificate, authority, coordinatorKey },
    };
  }

  /** Unknown, used and run-out codes are told apart by nobody. */
  #wrongCode(address: string): EnrolmentAnswer {
    this.#wrong.spend(address);
    this.#wrongInAll.spend("");
    return this.#refuse("wrong-code", address);
  }

  #refuse(reason: string, address: string): EnrolmentAnswer {
    this.#options.onEvent({ kind: "refused", reason, address });
    return { state: "refused", reason };
  }
}
