/** Shops: display cases, doors, tills, lighting. */
import type { KindTable } from "../tables.ts";

export const retail: KindTable = {
  slots: {
    asset: {
      common: [
        "the display freezer",
        "the bake-off oven",
        "the air conditioner",
        "the till server",
        "the drinks cooler",
      ],
      heldOut: ["the soft ice machine", "the bottle return machine"],
    },
    door: {
      common: ["the delivery door", "the freezer lid", "the cash office door", "the rack door"],
      heldOut: ["the parcel locker"],
    },
    fan: {
      common: ["the case fan", "the hood fan", "the server fan", "the ceiling fan"],
      heldOut: ["the cooler fan of the kiosk"],
    },
    fluid: {
      common: ["melt water", "coolant", "cleaning water"],
      heldOut: ["cooking oil"],
    },
    link: {
      common: ["the store wifi", "the DSL line", "the VPN tunnel"],
      heldOut: ["the franchise router"],
    },
    part: {
      common: ["the lid gasket", "the receipt printer head", "the air filter", "the neon tubes"],
      heldOut: ["the label printer"],
    },
    place: {
      common: [
        "the bakery corner",
        "the dairy aisle",
        "the checkout zone",
        "the back office",
        "store 114",
        "the parcel station",
      ],
      heldOut: ["the fish counter", "the kiosk"],
    },
    sensor: {
      common: ["the case thermometer", "the people counter", "the oven probe", "the CO2 sensor"],
      heldOut: ["the scale of the fish counter"],
    },
    valve: {
      common: [
        "the water valve of the oven",
        "the defrost valve",
        "the sprinkler test valve",
        "the gas valve",
      ],
      heldOut: ["the cooling loop valve"],
    },
    vessel: {
      common: [
        "the display freezer",
        "the drinks cooler",
        "the air conditioner",
        "the dish washer",
      ],
      heldOut: ["the soft ice machine"],
    },
  },
  mix: {
    "auth-failure": 9,
    "disk-wear": 5,
    "false-alarm": 8,
    "fan-failure": 3,
    "firmware-failed": 6,
    "firmware-ok": 6,
    leak: 3,
    "link-flap": 6,
    "maintenance-done": 4,
    overheating: 3,
    "power-loss": 4,
    "power-restored": 3,
    "sensor-drift": 3,
    "sensor-range": 2,
    tamper: 9,
    "valve-stuck": 1,
  },
  styles: { syslog: 6, alarm: 3, note: 3 },
};
