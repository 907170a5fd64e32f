/** The result of reading something from the network: a value, or the reason why it was refused. */

/** Why a payload was refused; a closed list so that drops can be counted by reason. */
export type DropReason =
  "too-large" | "too-short" | "not-json" | "bad-magic" | "version" | "malformed" | "hash";

/** Decoders return this and never throw: network input is data, not control flow. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: DropReason; readonly detail: string };

export function accepted<T>(value: T): Decoded<T> {
  return { ok: true, value };
}

export function refused<T>(reason: DropReason, detail: string): Decoded<T> {
  return { ok: false, reason, detail };
}
