/** Writing a file so that a crash leaves either the old content or the new, never a part. */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DataError } from "../base/errors.ts";
import { syncFolder, writeWhole } from "./synced.ts";

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
      let position = 0;
      for (const chunk of chunks) {
        writeWhole(file, chunk, position);
        position += chunk.byteLength;
      }
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
