/** Elevators: machine rooms, cabins, shafts. */
import type { KindTable } from "../tables.ts";

export const elevator: KindTable = {
  slots: {
    asset: {
      common: [
        "the hoist motor",
        "the hydraulic unit",
        "the brake resistor",
        "the door drive",
        "the frequency inverter",
      ],
      heldOut: ["the oil cooler of the lift", "the gearbox of the hoist"],
    },
    door: {
      common: [
        "the machine room door",
        "the shaft door on 4",
        "the inspection hatch",
        "the controller cabinet",
      ],
      heldOut: ["the pit gate"],
    },
    fan: {
      common: ["the drive fan", "the cabin fan", "the machine room fan", "the motor blower"],
      heldOut: ["the shaft vent"],
    },
    fluid: {
      common: ["hydraulic oil", "gear oil"],
      heldOut: ["brake fluid"],
    },
    link: {
      common: ["the 4G gateway link", "the intercom line", "the CAN bridge"],
      heldOut: ["the ISDN adapter"],
    },
    part: {
      common: ["the guide shoes", "the brake lining", "the door rollers", "the governor rope"],
      heldOut: ["the car lamp set"],
    },
    place: {
      common: [
        "the machine room of car A",
        "lift 3",
        "the shaft of tower B",
        "the goods lift",
        "landing 7",
        "the pit of car C",
      ],
      heldOut: ["the panorama lift", "the stage hoist"],
    },
    sensor: {
      common: ["the load cell", "the speed encoder", "the oil thermometer", "the levelling sensor"],
      heldOut: ["the rope tension gauge"],
    },
    valve: {
      common: [
        "the lowering valve",
        "the pilot valve",
        "the levelling valve",
        "the shut-off valve of the ram",
      ],
      heldOut: ["the rupture valve"],
    },
    vessel: {
      common: ["the hydraulic unit", "the ram", "the oil tank", "the gearbox"],
      heldOut: ["the oil cooler of the lift"],
    },
  },
  mix: {
    "auth-failure": 6,
    "disk-wear": 3,
    "false-alarm": 9,
    "fan-failure": 4,
    "firmware-failed": 5,
    "firmware-ok": 6,
    leak: 2,
    "link-flap": 6,
    "maintenance-done": 9,
    overheating: 4,
    "power-loss": 6,
    "power-restored": 5,
    "sensor-drift": 2,
    "sensor-range": 3,
    tamper: 3,
    "valve-stuck": 2,
  },
  styles: { syslog: 4, alarm: 2, note: 5 },
};
