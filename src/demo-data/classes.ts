/** All event classes by label. */
import { overheating, fanFailure, leak, maintenanceDone, valveStuck } from "./classes/equipment.ts";
import { diskWear, firmwareFailed, firmwareOk } from "./classes/gateway.ts";
import { authFailure, linkFlap, powerLoss, powerRestored } from "./classes/power-and-network.ts";
import { falseAlarm, sensorDrift, sensorRange, tamper } from "./classes/sensing.ts";
import type { EventClass, EventLabel } from "./tables.ts";

export const EVENT_CLASSES: Readonly<Record<EventLabel, EventClass>> = {
  "auth-failure": authFailure,
  "disk-wear": diskWear,
  "false-alarm": falseAlarm,
  "fan-failure": fanFailure,
  "firmware-failed": firmwareFailed,
  "firmware-ok": firmwareOk,
  leak,
  "link-flap": linkFlap,
  "maintenance-done": maintenanceDone,
  overheating,
  "power-loss": powerLoss,
  "power-restored": powerRestored,
  "sensor-drift": sensorDrift,
  "sensor-range": sensorRange,
  tamper,
  "valve-stuck": valveStuck,
};
