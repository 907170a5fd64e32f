/** Homes with heat pump, solar inverter and battery. */
import type { KindTable } from "../tables.ts";

export const homeEnergy: KindTable = {
  slots: {
    asset: {
      common: [
        "the heat pump",
        "the solar inverter",
        "the battery rack",
        "the hot water tank",
        "the wallbox",
      ],
      heldOut: ["the pellet stove", "the pool heater"],
    },
    door: {
      common: ["the meter cabinet", "the cellar door", "the battery cupboard", "the garage gate"],
      heldOut: ["the boiler lid"],
    },
    fan: {
      common: [
        "the heat pump fan",
        "the inverter fan",
        "the cellar ventilator",
        "the battery cooling fan",
      ],
      heldOut: ["the stove blower"],
    },
    fluid: {
      common: ["heating water", "glycol", "tap water"],
      heldOut: ["condensate"],
    },
    link: {
      common: ["the home wifi", "the powerline link", "the DSL uplink"],
      heldOut: ["the zigbee mesh"],
    },
    part: {
      common: [
        "the air filter",
        "the pressure gauge",
        "the anode of the tank",
        "the surge arrester",
      ],
      heldOut: ["the chimney sweep kit"],
    },
    place: {
      common: [
        "the basement",
        "the utility room",
        "the garage",
        "house 12",
        "the roof array",
        "the meter cupboard",
      ],
      heldOut: ["the holiday flat", "the carport"],
    },
    sensor: {
      common: ["the flow sensor", "the outdoor thermometer", "the tank probe", "the current clamp"],
      heldOut: ["the irradiance sensor"],
    },
    valve: {
      common: [
        "the mixing valve",
        "the three way valve",
        "the radiator valve upstairs",
        "the safety valve",
      ],
      heldOut: ["the solar loop valve"],
    },
    vessel: {
      common: [
        "the hot water tank",
        "the heat pump",
        "the heating circuit",
        "the expansion vessel",
      ],
      heldOut: ["the solar loop"],
    },
  },
  mix: {
    "auth-failure": 7,
    "disk-wear": 4,
    "false-alarm": 5,
    "fan-failure": 3,
    "firmware-failed": 7,
    "firmware-ok": 9,
    leak: 4,
    "link-flap": 9,
    "maintenance-done": 3,
    overheating: 4,
    "power-loss": 8,
    "power-restored": 7,
    "sensor-drift": 3,
    "sensor-range": 4,
    tamper: 2,
    "valve-stuck": 2,
  },
  styles: { syslog: 7, alarm: 2, note: 3 },
};
