/** Words for events of sensors, doors and alarms that meant nothing. */
import type { EventClass } from "../tables.ts";

export const sensorRange: EventClass = {
  statements: {
    common: [
      "{sensor} reads {huge}, outside of what is physically possible",
      "signal of {sensor} below 4 mA, [wire break|open loop] suspected",
      "{sensor} pinned at full scale since {time}",
      "{sensor} value {huge} rejected, plausibility limits exceeded",
      "{sensor} shows a negative absolute value, reading cannot be right",
      "input {digit} saturated, {sensor} out of range",
      "{sensor} jumped to {huge} in one sample and stays there",
    ],
    heldOut: [
      "{sensor} returns nonsense such as {huge}, far beyond its scale",
      "analogue channel {digit} railed, {sensor} gives an absurd figure",
      "{sensor} delivers an impossible number, probably a torn cable",
    ],
  },
  names: {
    common: ["a reading out of range", "an implausible value", "a broken sensor wire"],
    heldOut: ["an absurd measurement", "a saturated input"],
  },
  clauses: {
    common: [
      "{sensor} went out of range",
      "{sensor} jumped to an impossible value",
      "the signal of {sensor} hit full scale",
      "{sensor} lost its signal",
    ],
    heldOut: ["{sensor} returned nonsense", "{sensor} delivered an absurd figure"],
  },
};

export const sensorDrift: EventClass = {
  statements: {
    common: [
      "{sensor} reads {small} above the reference and the gap grows every week",
      "offset of {sensor} against the handheld meter now {small}, was half of that last month",
      "{sensor} slowly creeps away from its twin, {small} apart now",
      "calibration of {sensor} overdue, deviation {small}",
      "trend of {sensor} [rises|falls] by {small} a month with nothing changed in the process",
      "{sensor} disagrees with the lab sample by {small}, more than in spring",
    ],
    heldOut: [
      "{sensor} ages: each check finds it a little further off, {small} today",
      "bias of {sensor} has been building up for weeks, now {small}",
      "{sensor} wanders off its baseline bit by bit",
    ],
  },
  names: {
    common: ["sensor drift", "a growing offset", "a calibration error", "a slow deviation"],
    heldOut: ["an ageing probe", "a creeping bias"],
  },
  clauses: {
    common: [
      "{sensor} drifted",
      "the offset of {sensor} grew",
      "{sensor} crept away from the reference",
      "{sensor} lost its calibration",
    ],
    heldOut: ["{sensor} wandered off its baseline", "a bias of {sensor} built up"],
  },
};

export const tamper: EventClass = {
  statements: {
    common: [
      "{door} [opened|forced] at {time}, nobody [scheduled|announced] for {place}",
      "tamper switch of {door} active, cover screws missing",
      "{door} open for {minutes} min outside working hours",
      "seal of the meter at {place} cut, cable pulled out",
      "motion inside {place} at {time} while armed, {door} open",
      "lock of {door} drilled, scratch marks on the frame",
      "{door} contact open, camera shows a stranger at {place}",
    ],
    heldOut: [
      "somebody broke into {place} through {door}",
      "housing of the gateway at {place} pried apart with a crowbar",
      "intruder at {place}, {door} wide open at {time}",
    ],
  },
  names: {
    common: ["tampering", "an open door", "a break-in", "a forced cabinet"],
    heldOut: ["an intrusion", "vandalism"],
  },
  clauses: {
    common: [
      "{door} was forced open",
      "the tamper switch of {door} tripped",
      "somebody opened {door}",
      "the seal of {door} was cut",
    ],
    heldOut: ["an intruder came through {door}", "{door} was pried apart"],
  },
};

export const falseAlarm: EventClass = {
  statements: {
    common: [
      "alarm {code} at {place} [checked|inspected], nothing found, all values normal",
      "alarm {code} raised by a [spider in front of|cleaning crew near] the detector, reset without action",
      "{place} inspected after alarm {code}: everything in order",
      "alarm {code} cleared by itself within {minutes} s, no trace of any problem",
      "alarm {code} came from the weekly test, nobody had switched it to test mode",
      "went to {place} for alarm {code}, [nothing to see|no fault], reset on the spot",
      "alarm {code} had no cause, limits were set too tight",
    ],
    heldOut: [
      "nuisance trip of alarm {code}, site walked through and found healthy",
      "a bird set off alarm {code}, {place} is fine",
      "needless callout to {place}, alarm {code} without any reason",
    ],
  },
  names: {
    common: ["a false alarm", "an alarm without cause", "a nuisance alarm", "a test alarm"],
    heldOut: ["a needless callout", "a spurious trip"],
  },
};
