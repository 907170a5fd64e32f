/**
 * Statements that differ in little but the order of words, a negation or the state at the end. What
 * holds now and what was found decide, not what was reported, feared or tried before.
 */
import type { ContrastSet } from "./tables.ts";

const POWER_AND_NETWORK: readonly ContrastSet[] = [
  {
    "power-loss": "mains lost again {minutes} min after it was restored",
    "power-restored": "mains restored again {minutes} min after it was lost",
  },
  {
    "power-loss": "on battery again, no longer on mains, since {time}",
    "power-restored": "on mains again, no longer on battery, since {time}",
  },
  {
    "power-loss": "voltage at {place} was stable, is now gone",
    "power-restored": "voltage at {place} was gone, is now stable",
  },
  {
    "power-loss": "UPS took over from the grid at {time}",
    "power-restored": "grid took over from the UPS at {time}",
  },
  {
    "power-loss": "{place} switched over from mains to generator",
    "power-restored": "{place} switched over from generator to mains",
  },
  {
    "power-loss": "{place} went dark because of the grid, not because of the finished service",
    "maintenance-done":
      "{place} went dark because of the finished service, not because of the grid",
  },
  {
    "power-loss": "{asset} tripped by loss of power, not by heat",
    overheating: "{asset} tripped by heat, not by loss of power",
  },
  {
    "power-restored": "{node} restarted by the return of power, not by the update",
    "firmware-ok": "{node} restarted by the update, not by the return of power",
  },
  {
    "power-loss": "{link} is steady, power at {place} is not",
    "link-flap": "power at {place} is steady, {link} is not",
  },
  {
    "link-flap": "gaps in the log come from {link}, not from the disk",
    "disk-wear": "gaps in the log come from the disk, not from {link}",
  },
  {
    "link-flap": "dropouts come from {link}, not from the update that ended well",
    "firmware-ok": "dropouts come from the update that ended well, not from {link}",
  },
  {
    "link-flap": "certificate accepted, connection not steady",
    "auth-failure": "connection steady, certificate not accepted",
  },
  {
    "auth-failure": "refused logins came from an attack, not from the weekly test",
    "false-alarm": "refused logins came from the weekly test, not from an attack",
  },
  {
    "auth-failure": "somebody tried the login of {user}, not {door}",
    tamper: "somebody tried {door}, not the login of {user}",
  },
  {
    "auth-failure": "cloud rejects the login of {place}, not the image",
    "firmware-failed": "cloud rejects the image of {place}, not the login",
  },
];

const GATEWAY: readonly ContrastSet[] = [
  {
    "firmware-ok": "running {version} instead of the old release",
    "firmware-failed": "running the old release instead of {version}",
  },
  {
    "firmware-ok": "old image removed and {version} kept",
    "firmware-failed": "{version} removed and old image kept",
  },
  {
    "firmware-ok": "self test of {version} passed, no rollback",
    "firmware-failed": "no self test of {version} passed, rollback",
  },
  {
    "firmware-ok": "first download of {version} failed but the install succeeded",
    "firmware-failed": "first download of {version} succeeded but the install failed",
  },
  {
    "firmware-failed": "install stopped by a bad image, not by a bad disk",
    "disk-wear": "install stopped by a bad disk, not by a bad image",
  },
  {
    "firmware-failed": "disk is fine, image {version} is broken",
    "disk-wear": "image {version} is fine, disk is broken",
  },
  {
    "disk-wear": "worn card still in, spare card not yet",
    "maintenance-done": "spare card in, worn card not any more",
  },
  {
    "disk-wear": "alarm on bad blocks is right, test was not wrong",
    "false-alarm": "alarm on bad blocks is wrong, test was not right",
  },
];

const EQUIPMENT: readonly ContrastSet[] = [
  {
    leak: "leak found at {vessel}, no access to the shut-off",
    "false-alarm": "no leak found at {vessel}, access to the shut-off checked",
  },
  {
    leak: "floor below {vessel} not dry, alarm right",
    "false-alarm": "floor below {vessel} dry, alarm not right",
  },
  {
    leak: "wet spot is {fluid} from {vessel}, not condensation from the air",
    "false-alarm": "wet spot is condensation from the air, not {fluid} from {vessel}",
  },
  {
    leak: "{vessel} was tight before the service, dripping since",
    "maintenance-done": "{vessel} was dripping before the service, tight since",
  },
  {
    leak: "{valve} is moving but {vessel} is not tight",
    "valve-stuck": "{vessel} is tight but {valve} is not moving",
  },
  {
    leak: "level falls by a leak at {vessel}, not by an offset of {sensor}",
    "sensor-drift": "level falls by an offset of {sensor}, not by a leak at {vessel}",
  },
  {
    "valve-stuck": "{valve} was free, is now stuck",
    "maintenance-done": "{valve} was stuck, is now free",
  },
  {
    "valve-stuck": "{fan} turns, {valve} does not",
    "fan-failure": "{valve} turns, {fan} does not",
  },
  {
    "valve-stuck": "{valve} does not move, alarm was right",
    "false-alarm": "{valve} does move, alarm was not right",
  },
  {
    "fan-failure": "{asset} is cool but {fan} is not running",
    overheating: "{fan} is running but {asset} is not cool",
  },
  {
    "fan-failure": "{fan} was running before the service, standing since",
    "maintenance-done": "{fan} was standing before the service, running since",
  },
  {
    "fan-failure": "stop alarm of {fan} right, rotor not turning",
    "false-alarm": "stop alarm of {fan} not right, rotor turning",
  },
  {
    overheating: "{asset} is not cool, alarm was right",
    "false-alarm": "{asset} is cool, alarm was not right",
  },
];

const SENSING: readonly ContrastSet[] = [
  {
    overheating: "{hot} degrees at {asset} are true, not a broken wire",
    "sensor-range": "{hot} degrees at {asset} are a broken wire, not true",
  },
  {
    "sensor-drift": "{sensor} off slowly over weeks, not all at once",
    "sensor-range": "{sensor} off all at once, not slowly over weeks",
  },
  {
    "sensor-drift": "{sensor} in its range, not true to the reference",
    "sensor-range": "{sensor} true to the reference before, now not in its range",
  },
  {
    "sensor-drift": "{sensor} was calibrated, is now off",
    "maintenance-done": "{sensor} was off, is now calibrated",
  },
  {
    "sensor-range": "no value because of the wire of {sensor}, {link} is up",
    "link-flap": "no value because of {link}, up and down, wire of {sensor} is whole",
  },
  {
    tamper: "{door} opened by a stranger, not by the service",
    "maintenance-done": "{door} opened by the service, not by a stranger",
  },
  {
    tamper: "{door} does stand open, the contact is not faulty",
    "false-alarm": "{door} does not stand open, the contact is faulty",
  },
];

const HELD_OUT: readonly ContrastSet[] = [
  {
    "power-loss": "{place} was back on the grid for {minutes} min, off again now",
    "power-restored": "{place} was off the grid for {minutes} min, back on again now",
  },
  {
    "firmware-ok": "it looked as if {version} failed, in fact it succeeded",
    "firmware-failed": "it looked as if {version} succeeded, in fact it failed",
  },
  {
    "auth-failure": "{user} knocked with a bad password, not with a bad line",
    "link-flap": "{user} knocked with a bad line, not with a bad password",
  },
  {
    leak: "alarm at {vessel} is not wrong, it does leak",
    "false-alarm": "alarm at {vessel} is wrong, it does not leak",
  },
  {
    tamper: "lock of {door} was whole yesterday, is broken today",
    "maintenance-done": "lock of {door} was broken yesterday, is whole today",
  },
  {
    "valve-stuck": "{valve} could be turned yesterday, not today",
    "maintenance-done": "{valve} could not be turned yesterday, today it can be",
  },
  {
    overheating: "{asset} too hot, {fan} turning",
    "fan-failure": "{fan} not turning, {asset} not too hot",
  },
  {
    "sensor-drift": "{sensor} left the reference little by little, not in one jump",
    "sensor-range": "{sensor} left the reference in one jump, not little by little",
  },
  {
    "disk-wear": "write errors by the card, not by the image",
    "firmware-failed": "write errors by the image, not by the card",
  },
];

export const CONTRASTS: {
  readonly common: readonly ContrastSet[];
  readonly heldOut: readonly ContrastSet[];
} = {
  common: [...POWER_AND_NETWORK, ...GATEWAY, ...EQUIPMENT, ...SENSING],
  heldOut: HELD_OUT,
};
