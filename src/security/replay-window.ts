/** Tells the messages of a party that are new from those that somebody plays again. */
import type { SealHeader, SessionId } from "./seal.ts";

/** Sessions of one party that are remembered as over; a device restarts less often while its coordinator runs. */
const MAX_PAST = 1000;

export class ReplayWindow {
  #session: SessionId | null = null;
  #serial = 0;
  readonly #past = new Set<SessionId>();

  /** The session that spoke last; null before anybody has. */
  get session(): SessionId | null {
    return this.#session;
  }

  /** True for a message later in its session than all before; a new session ends the one before for good. */
  admit({ from, serial }: SealHeader): boolean {
    if (this.#past.has(from) || (from === this.#session && serial <= this.#serial)) return false;
    if (from !== this.#session) this.#begin(from);
    this.#serial = serial;
    return true;
  }

  /** Like `admit` for what may arrive out of order, such as a will: only sessions that are over are refused. */
  admitSession({ from }: SealHeader): boolean {
    if (this.#past.has(from)) return false;
    if (from !== this.#session) this.#begin(from);
    return true;
  }

  #begin(session: SessionId): void {
    if (this.#session !== null) this.#past.add(this.#session);
    const [oldest] = this.#past;
    if (this.#past.size > MAX_PAST && oldest !== undefined) this.#past.delete(oldest);
    this.#session = session;
    this.#serial = 0;
  }
}
