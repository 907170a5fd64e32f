/** Words for events of machines, fans, valves and pipes, and for finished work on them. */
import type { EventClass } from "../tables.ts";

export const overheating: EventClass = {
  statements: {
    common: [
      "{asset} at {hot} degrees, limit {limit}, still [rising|climbing]",
      "temperature of {asset} above {limit} for {minutes} min, load [reduced|shed]",
      "thermal cut-out of {asset} tripped at {hot} degrees",
      "winding of {asset} too hot, [hand cannot stay on the casing|{hot} degrees measured]",
      "cabinet in {place} at {hot} degrees inside, gateway throttles",
      "heat alarm at {place}, two sensors agree on {hot} degrees",
      "bearing of {asset} hot and smelling, {hot} degrees",
    ],
    heldOut: [
      "{asset} is scorching, paint blisters on its housing",
      "{asset} cooks at {hot} degrees and has to rest",
      "it is like an oven at {place}, {hot} degrees",
    ],
  },
  names: {
    common: ["overheating", "too high a temperature", "a thermal trip", "excess heat"],
    heldOut: ["a scorching motor", "a heat build-up"],
  },
  clauses: {
    common: [
      "{asset} overheated",
      "the temperature of {asset} rose above the limit",
      "{asset} became too hot",
      "the thermal cut-out of {asset} tripped",
    ],
    heldOut: ["{asset} got scorching", "heat built up in {asset}"],
  },
};

export const fanFailure: EventClass = {
  statements: {
    common: [
      "{fan} at 0 rpm, set point {percent} %",
      "{fan} [stands still|does not turn], motor hums",
      "no tacho pulses from {fan} since {time}",
      "{fan} bearing seized, blade [cannot be turned by hand|blocked]",
      "air flow at {place} zero with {fan} commanded on",
      "{fan} draws current but does not spin",
    ],
    heldOut: [
      "rotor of {fan} jammed, impeller motionless",
      "{fan} quit, no draught at {place}",
      "ventilator motor of {fan} burnt out",
    ],
  },
  names: {
    common: ["a fan failure", "a stopped fan", "a seized fan bearing", "missing air flow"],
    heldOut: ["a motionless impeller", "a dead ventilator"],
  },
  clauses: {
    common: [
      "{fan} stopped",
      "{fan} seized",
      "the motor of {fan} failed",
      "the air flow of {fan} ceased",
    ],
    heldOut: ["{fan} quit", "the impeller of {fan} jammed"],
  },
};

export const valveStuck: EventClass = {
  statements: {
    common: [
      "{valve} commanded closed, position feedback [stays|remains] at {percent} %",
      "{valve} does not move, actuator [hums|at torque limit]",
      "{valve} stuck half open, flow unchanged after {count} commands",
      "stroke of {valve} timed out after {minutes} s",
      "{valve} blocked by scale, hand wheel cannot be turned",
      "position of {valve} frozen since {time} while the set point moves",
    ],
    heldOut: [
      "{valve} refuses to budge, spindle rusted tight",
      "{valve} ignores every command, disc wedged in its seat",
      "could not shift {valve} even with a wrench",
    ],
  },
  names: {
    common: ["a stuck valve", "a jammed valve", "a blocked actuator", "a valve that will not move"],
    heldOut: ["a wedged spindle", "a seized damper"],
  },
  clauses: {
    common: [
      "{valve} jammed",
      "{valve} got stuck half open",
      "the actuator of {valve} blocked",
      "{valve} stopped moving",
    ],
    heldOut: ["{valve} wedged in its seat", "the spindle of {valve} seized"],
  },
};

export const leak: EventClass = {
  statements: {
    common: [
      "{fluid} on the floor under {vessel}, [bucket placed|puddle grows]",
      "{vessel} drips {count} drops a minute at the flange",
      "float switch in the pit of {place} wet, {fluid} level rising",
      "pressure falls {small} an hour with everything closed, {fluid} lost somewhere at {place}",
      "{fluid} sprays from a cracked hose at {vessel}",
      "leak rope at {place} wet over {digit} m, {fluid} visible",
      "stain below {vessel} is fresh {fluid}, seal worn through",
    ],
    heldOut: [
      "{fluid} seeps out of a joint of {vessel}",
      "{place} is flooded ankle deep with {fluid}",
      "{fluid} gushes from {vessel} where the gasket burst",
    ],
  },
  names: {
    common: ["a leak", "a dripping flange", "escaping {fluid}", "a burst hose"],
    heldOut: ["a seeping joint", "a flooded floor"],
  },
  clauses: {
    common: [
      "{vessel} began to leak",
      "{fluid} ran out of {vessel}",
      "a hose of {vessel} burst",
      "a puddle of {fluid} formed",
    ],
    heldOut: ["{fluid} seeped from {vessel}", "the gasket of {vessel} gave way"],
  },
};

export const maintenanceDone: EventClass = {
  statements: {
    common: [
      "{part} [replaced|exchanged] at {place}, test run ok, [next visit in {count} weeks|job closed]",
      "yearly service of {asset} finished, report signed by {person}",
      "cleaned and greased {asset}, back in operation since {time}",
      "{part} renewed, old one taken along, site left clean",
      "planned work at {place} completed at {time}, all alarms re-armed",
      "{sensor} recalibrated against the reference and sealed, certificate filed",
      "inspection round at {place} done, oil topped up, {part} fitted",
    ],
    heldOut: [
      "overhaul of {asset} wrapped up, handed over to {person}",
      "swapped {part} as scheduled, everything purrs again",
      "tune-up at {place} is through, tools packed at {time}",
    ],
  },
  names: {
    common: ["finished service work", "planned maintenance", "a completed repair"],
    heldOut: ["a scheduled overhaul", "a routine check-up by the fitter"],
  },
};
