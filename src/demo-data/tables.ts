/** The shapes of the tables from which gateway events are written. */

export const EVENT_LABELS = [
  "auth-failure",
  "disk-wear",
  "false-alarm",
  "fan-failure",
  "firmware-failed",
  "firmware-ok",
  "leak",
  "link-flap",
  "maintenance-done",
  "overheating",
  "power-loss",
  "power-restored",
  "sensor-drift",
  "sensor-range",
  "tamper",
  "valve-stuck",
] as const;

export type EventLabel = (typeof EVENT_LABELS)[number];

export const GATEWAY_KINDS = [
  "cold-storage",
  "elevator",
  "greenhouse",
  "home-energy",
  "pump-station",
  "retail",
] as const;

export type GatewayKind = (typeof GATEWAY_KINDS)[number];

/**
 * Texts to choose from; those held out never occur in training data.
 * `{slot}` stands for a value and `[a|b]` for a choice.
 */
export interface Phrases {
  readonly common: readonly string[];
  readonly heldOut: readonly string[];
}

/** How one class is put into words. */
export interface EventClass {
  /** Whole statements that fit this class only. */
  readonly statements: Phrases;
  /** Names of the condition, fit for "reported as ...". */
  readonly names: Phrases;
  /** The event as a clause in the past, fit for "... before ..."; none where no cause can be meant. */
  readonly clauses?: Phrases;
}

/** Slots whose values depend on the kind of gateway. */
export type KindSlot =
  "asset" | "door" | "fan" | "fluid" | "link" | "part" | "place" | "sensor" | "valve" | "vessel";

/** What one kind of gateway looks after and how often each class happens there. */
export interface KindTable {
  readonly slots: Readonly<Record<KindSlot, Phrases>>;
  /** Relative frequency of each class. */
  readonly mix: Readonly<Record<EventLabel, number>>;
  /** Relative frequency of each way of writing. */
  readonly styles: Readonly<Record<StyleName, number>>;
}

export type StyleName = "syslog" | "alarm" | "note";

/** A way of writing: what stands before and after the event itself. */
export interface Style {
  readonly openings: readonly string[];
  readonly closings: readonly string[];
  /** Whether people type it, with abbreviations and slips. */
  readonly isTyped: boolean;
}

/** Texts of nearly the same words, each under the class that a careful reader gives it. */
export type ContrastSet = Readonly<Partial<Record<EventLabel, string>>>;

/** Two classes that occur in one sentence, either of them as the one that counts. */
export type LabelPair = readonly [EventLabel, EventLabel];
