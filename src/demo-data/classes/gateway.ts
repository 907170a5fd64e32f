/** Words for events of the gateway's own disk and firmware. */
import type { EventClass } from "../tables.ts";

export const diskWear: EventClass = {
  statements: {
    common: [
      "flash at {high} % of rated write cycles, spare blocks [low|nearly used up]",
      "SMART: reallocated sectors {count}, media wearout indicator {low}",
      "eMMC life time estimate 0x0{digit}, pre-EOL warning set",
      "uncorrectable read errors on the data partition, {count} bad blocks mapped out",
      "ext4 remounted read-only after write errors on mmcblk{digit}",
      "SD card of the gateway at {place} is close to the end of its life",
      "storage health {low} %, [plan a replacement|card should be swapped soon]",
    ],
    heldOut: [
      "solid state drive reports {high} % of its endurance spent",
      "memory card is getting old: {count} defective cells remapped",
      "writes to the local log stall, the medium is worn out",
    ],
  },
  names: {
    common: ["disk wear", "a worn flash card", "bad blocks", "storage at its end of life"],
    heldOut: ["an exhausted memory card", "dying storage"],
  },
  clauses: {
    common: [
      "the flash card ran out of spare blocks",
      "disk errors appeared",
      "the file system turned read-only",
      "the storage wore out",
    ],
    heldOut: ["the memory card began to die", "the medium returned write errors"],
  },
};

export const firmwareOk: EventClass = {
  statements: {
    common: [
      "firmware {version} installed and verified, reboot took {minutes} s",
      "now running {version}, self test passed, previous slot kept",
      "update to {version} [complete|finished] at {time}, all services up",
      "image {version} signature ok, swapped to slot B and booted cleanly",
      "controller of {asset} flashed with {version}, version confirmed",
      "rollout of {version} reached {place}, device reports healthy",
    ],
    heldOut: [
      "new software {version} is live on the controller and answers normally",
      "upgrade to {version} went through at the first try",
      "gateway at {place} came up on release {version} and passed its checks",
    ],
  },
  names: {
    common: ["a finished firmware update", "a successful update", "an update that went well"],
    heldOut: ["a completed upgrade", "a clean software rollout"],
  },
};

export const firmwareFailed: EventClass = {
  statements: {
    common: [
      "firmware {version} checksum mismatch, [image discarded|install aborted]",
      "update to {version} aborted at {percent} %, old slot [still active|booted]",
      "boot of {version} timed out {count} times, watchdog rolled back",
      "signature of image {version} invalid, install refused",
      "flashing {asset} with {version} stopped with error {code}",
      "device of {place} hangs in the boot loader with {version}",
      "not enough space for image {version}, update cancelled",
    ],
    heldOut: [
      "upgrade to {version} broke off halfway, controller fell back to the old release",
      "software {version} crashes on start, previous release reinstated",
      "new image {version} is corrupt and was thrown away",
    ],
  },
  names: {
    common: [
      "a failed firmware update",
      "an aborted update",
      "a broken image",
      "an update rollback",
    ],
    heldOut: ["an upgrade gone wrong", "a corrupt software image"],
  },
  clauses: {
    common: [
      "the firmware update failed",
      "the update to {version} was aborted",
      "the new image did not boot",
      "the install of {version} broke off",
    ],
    heldOut: ["the upgrade to {version} went wrong", "the new software crashed on start"],
  },
};
