/** Writing a file so that a crash leaves either the old content or the new, never a part. */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { DataError } from "../base/errors.ts";

/**
 * Writes `chunks` one after another to `path` by way of a temporary file next to it, synced before
 * and after the rename; makes missing folders. Throws DataError when the disk refuses.
 */
export function writeFileAtomic(path: string, chunks: Iterable<Uint8Array>): void {
  const part = `${path}.part`;
  try {
    mkdirSync(dirname(path), { recursive: true });
    const file = openSync(part, "w");
    try {
      for (const chunk of chunks) writeWhole(file, chunk);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(part, path);
    syncFolder(dirname(path));
  } catch (cause) {
    removePart(part);
    throw new DataError(`cannot write ${path}`, {
      cause,
      hint: "is the folder writable and is there room on the disk?",
    });
  }
}

/** The failure that led here is the one to report, not a second one. */
function removePart(part: string): void {
  try {
    rmSync(part, { force: true });
  } catch {
    return;
  }
}

/** A single write may stop short; it takes at most 2 GiB. */
function writeWhole(file: number, chunk: Uint8Array): void {
  let at = 0;
  while (at < chunk.length) at += writeSync(file, chunk, at, Math.min(chunk.length - at, 2 ** 30));
}

/** The rename itself survives a power cut only once the folder is synced. */
function syncFolder(folder: string): void {
  const handle = openSync(folder, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
