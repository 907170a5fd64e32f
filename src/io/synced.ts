/** What every durable file here is written with: whole writes, and folders whose entries survive a power cut. */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";

/** A single write takes at most 2 GiB and may stop short. */
const MOST_BYTES = 2 ** 30;

/** Writes all of `bytes` to an open file, from `position` on. */
export function writeWhole(file: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.byteLength) {
    const length = Math.min(bytes.byteLength - done, MOST_BYTES);
    done += writeSync(file, bytes, done, length, position + done);
  }
}

/** Makes what was created, renamed or removed in the folder durable. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
