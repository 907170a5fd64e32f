/** Pump stations of water and waste water. */
import type { KindTable } from "../tables.ts";

export const pumpStation: KindTable = {
  slots: {
    asset: {
      common: [
        "pump 1",
        "pump 2",
        "the submersible pump",
        "the pressure vessel",
        "the diesel generator",
      ],
      heldOut: ["the booster set", "the sludge pump"],
    },
    door: {
      common: ["the well cover", "the station door", "the fence gate", "the panel door"],
      heldOut: ["the manhole lid"],
    },
    fan: {
      common: [
        "the motor fan of pump 1",
        "the cabinet fan",
        "the odour extraction fan",
        "the cooling fan of the drive",
      ],
      heldOut: ["the pit ventilator"],
    },
    fluid: {
      common: ["water", "sewage", "chlorine solution"],
      heldOut: ["sludge"],
    },
    link: {
      common: ["the radio link", "the GPRS uplink", "the telemetry line"],
      heldOut: ["the microwave hop"],
    },
    part: {
      common: ["the mechanical seal", "the impeller", "the screen basket", "the dosing hose"],
      heldOut: ["the float switch set"],
    },
    place: {
      common: [
        "pump house 4",
        "the wet well",
        "the valve chamber",
        "the outfall station",
        "the dosing room",
        "the north reservoir",
      ],
      heldOut: ["the screen building", "the storm basin"],
    },
    sensor: {
      common: [
        "the level probe",
        "the flow meter",
        "the pressure transmitter",
        "the turbidity sensor",
      ],
      heldOut: ["the chlorine analyser"],
    },
    valve: {
      common: [
        "the check valve",
        "the gate valve of pump 2",
        "the bypass valve",
        "the inlet penstock",
      ],
      heldOut: ["the surge valve"],
    },
    vessel: {
      common: ["pump 1", "pump 2", "the pressure vessel", "the discharge pipe"],
      heldOut: ["the sludge pump"],
    },
  },
  mix: {
    "auth-failure": 3,
    "disk-wear": 4,
    "false-alarm": 3,
    "fan-failure": 3,
    "firmware-failed": 2,
    "firmware-ok": 2,
    leak: 8,
    "link-flap": 7,
    "maintenance-done": 5,
    overheating: 4,
    "power-loss": 8,
    "power-restored": 7,
    "sensor-drift": 5,
    "sensor-range": 6,
    tamper: 7,
    "valve-stuck": 9,
  },
  styles: { syslog: 3, alarm: 6, note: 3 },
};
