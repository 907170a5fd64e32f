/**
 * Sentences around two conditions, {a} and {b}. The label is always that of {a}: what a report turned
 * out to be, or what came first. Both conditions appear in both places over all
 * lines, so that the words alone do not tell.
 */
import type { LabelPair, Phrases } from "./tables.ts";

/** {a} and {b} are names: what was found counts, not what was reported. */
export const FINDINGS: Phrases = {
  common: [
    "reported as {b}, found to be {a}",
    "{a} confirmed, {b} ruled out",
    "{b} ruled out, {a} confirmed",
    "not {b} but {a}",
    "it is {a}, not {b}",
    "suspected {b}, found {a}",
    "found {a}, suspected was {b}",
    "ticket changed from {b} to {a}",
  ],
  heldOut: [
    "it is {a} rather than {b}",
    "called out for {b}, the problem was {a}",
    "{a} was mistaken for {b}",
  ],
};

/** {a} and {b} are clauses: the event that happened first counts. */
export const CHAINS: Phrases = {
  common: [
    "{a} before {b}",
    "before {b}, {a}",
    "{b} after {a}",
    "after {a}, {b}",
    "{a}, then {b}",
    "first {a}, then {b}",
    "{a} and {minutes} minutes later {b}",
    "{b}, {minutes} minutes earlier {a}",
  ],
  heldOut: ["{a}, next {b}", "{a}, shortly afterwards {b}", "{b}, shortly before that {a}"],
};

/** Conditions that are mistaken for each other. */
export const FINDING_PAIRS: readonly LabelPair[] = [
  ["auth-failure", "false-alarm"],
  ["auth-failure", "firmware-failed"],
  ["auth-failure", "link-flap"],
  ["auth-failure", "tamper"],
  ["disk-wear", "false-alarm"],
  ["disk-wear", "firmware-failed"],
  ["disk-wear", "link-flap"],
  ["disk-wear", "overheating"],
  ["false-alarm", "leak"],
  ["false-alarm", "overheating"],
  ["false-alarm", "power-restored"],
  ["false-alarm", "tamper"],
  ["fan-failure", "overheating"],
  ["fan-failure", "power-loss"],
  ["fan-failure", "valve-stuck"],
  ["firmware-failed", "firmware-ok"],
  ["firmware-failed", "link-flap"],
  ["firmware-ok", "link-flap"],
  ["firmware-ok", "maintenance-done"],
  ["firmware-ok", "power-restored"],
  ["leak", "sensor-drift"],
  ["leak", "sensor-range"],
  ["leak", "valve-stuck"],
  ["link-flap", "power-loss"],
  ["link-flap", "sensor-range"],
  ["maintenance-done", "power-loss"],
  ["maintenance-done", "power-restored"],
  ["maintenance-done", "tamper"],
  ["overheating", "sensor-drift"],
  ["overheating", "sensor-range"],
  ["power-loss", "power-restored"],
  ["sensor-drift", "sensor-range"],
  ["sensor-drift", "valve-stuck"],
  ["tamper", "valve-stuck"],
];

/** Conditions that come one after the other, in either order. */
export const CHAIN_PAIRS: readonly LabelPair[] = [
  ["auth-failure", "disk-wear"],
  ["auth-failure", "firmware-failed"],
  ["auth-failure", "link-flap"],
  ["auth-failure", "tamper"],
  ["disk-wear", "firmware-failed"],
  ["disk-wear", "overheating"],
  ["disk-wear", "sensor-range"],
  ["fan-failure", "overheating"],
  ["fan-failure", "power-loss"],
  ["fan-failure", "sensor-drift"],
  ["firmware-failed", "link-flap"],
  ["firmware-failed", "power-loss"],
  ["leak", "sensor-drift"],
  ["leak", "sensor-range"],
  ["leak", "tamper"],
  ["leak", "valve-stuck"],
  ["link-flap", "power-loss"],
  ["link-flap", "sensor-range"],
  ["link-flap", "tamper"],
  ["overheating", "power-loss"],
  ["overheating", "sensor-drift"],
  ["overheating", "valve-stuck"],
  ["sensor-drift", "valve-stuck"],
  ["sensor-range", "tamper"],
  ["sensor-range", "valve-stuck"],
];
