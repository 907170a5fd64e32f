/** A greenhouse: climate, irrigation, lights. */
import type { KindTable } from "../tables.ts";

export const greenhouse: KindTable = {
  slots: {
    asset: {
      common: [
        "the boiler",
        "the grow light driver",
        "the dosing unit",
        "the mixing tank",
        "the heating manifold",
      ],
      heldOut: ["the CO2 burner", "the fogging pump"],
    },
    door: {
      common: ["the side door", "the roof hatch", "the control cabinet", "the store gate"],
      heldOut: ["the pesticide locker"],
    },
    fan: {
      common: ["roof fan 2", "circulation fan A", "exhaust fan 4", "the vent blower"],
      heldOut: ["the canopy fan"],
    },
    fluid: {
      common: ["water", "nutrient solution"],
      heldOut: ["fertiliser mix"],
    },
    link: {
      common: ["the LTE uplink", "the wifi bridge", "the field bus"],
      heldOut: ["the LoRa concentrator"],
    },
    part: {
      common: [
        "the filter mesh",
        "the drip nozzles",
        "the belt of the screen drive",
        "the acid pump hose",
      ],
      heldOut: ["the shade cloth"],
    },
    place: {
      common: [
        "bay 3",
        "the propagation house",
        "the north greenhouse",
        "zone B",
        "the tomato hall",
        "the irrigation room",
      ],
      heldOut: ["the seedling tunnel", "the cucumber wing"],
    },
    sensor: {
      common: [
        "the humidity probe",
        "soil moisture sensor 7",
        "the leaf thermometer",
        "the EC meter",
      ],
      heldOut: ["the lux meter"],
    },
    valve: {
      common: ["drip valve 5", "the mist valve", "the nutrient valve", "mixing valve M1"],
      heldOut: ["the flood valve"],
    },
    vessel: {
      common: ["the dosing unit", "the mixing tank", "the heating manifold", "the rain water tank"],
      heldOut: ["the fogging pump"],
    },
  },
  mix: {
    "auth-failure": 2,
    "disk-wear": 2,
    "false-alarm": 5,
    "fan-failure": 5,
    "firmware-failed": 3,
    "firmware-ok": 4,
    leak: 9,
    "link-flap": 5,
    "maintenance-done": 6,
    overheating: 5,
    "power-loss": 3,
    "power-restored": 3,
    "sensor-drift": 9,
    "sensor-range": 7,
    tamper: 2,
    "valve-stuck": 8,
  },
  styles: { syslog: 3, alarm: 3, note: 6 },
};
