/** A cold store: freezer rooms, compressors, loading dock. */
import type { KindTable } from "../tables.ts";

export const coldStorage: KindTable = {
  slots: {
    asset: {
      common: [
        "compressor K1",
        "the glycol pump",
        "the defrost heater",
        "the condenser",
        "the evaporator of room 2",
      ],
      heldOut: ["the booster compressor", "the ammonia separator"],
    },
    door: {
      common: [
        "the roller gate",
        "the sliding door of room 2",
        "the dock hatch",
        "the switch cabinet",
      ],
      heldOut: ["the emergency exit"],
    },
    fan: {
      common: ["evaporator fan 3", "condenser fan B", "the air curtain fan", "the tunnel fan"],
      heldOut: ["the dock blower"],
    },
    fluid: {
      common: ["glycol", "coolant", "melt water"],
      heldOut: ["ammonia solution"],
    },
    link: {
      common: ["the LTE uplink", "the plant ethernet", "the repeater of the dock"],
      heldOut: ["the satellite modem"],
    },
    part: {
      common: ["the door gasket", "the drier cartridge", "the compressor oil", "the fan belt"],
      heldOut: ["the defrost timer"],
    },
    place: {
      common: [
        "the deep freeze room",
        "cold room 2",
        "the loading dock",
        "the machine room",
        "the blast chiller",
        "the ripening cell",
      ],
      heldOut: ["the meat locker", "the ice store"],
    },
    sensor: {
      common: [
        "core probe P5",
        "the room thermometer",
        "the suction pressure gauge",
        "the door frame thermocouple",
      ],
      heldOut: ["the gas detector of the ice store"],
    },
    valve: {
      common: ["expansion valve 2", "the hot gas valve", "the suction stop valve", "solenoid Y4"],
      heldOut: ["the liquid line valve"],
    },
    vessel: {
      common: ["the glycol pump", "the condenser", "the evaporator of room 2", "the brine pipe"],
      heldOut: ["the ammonia separator"],
    },
  },
  mix: {
    "auth-failure": 2,
    "disk-wear": 2,
    "false-alarm": 4,
    "fan-failure": 7,
    "firmware-failed": 2,
    "firmware-ok": 3,
    leak: 5,
    "link-flap": 3,
    "maintenance-done": 5,
    overheating: 9,
    "power-loss": 5,
    "power-restored": 4,
    "sensor-drift": 5,
    "sensor-range": 5,
    tamper: 6,
    "valve-stuck": 4,
  },
  styles: { syslog: 3, alarm: 5, note: 3 },
};
