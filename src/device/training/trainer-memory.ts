/** Where a trainer keeps what it must still know after a restart: one small record of bytes. */
import { existsSync, readFileSync } from "node:fs";
import { writeFileAtomic } from "../../io/atomic-file.ts";

export interface TrainerMemory {
  /** What was saved last; null before the first time. */
  load(): Uint8Array | null;
  save(bytes: Uint8Array): void;
}

/** A file; its folder is made when it is first written. Throws DataError when the disk refuses. */
export function fileMemory(path: string): TrainerMemory {
  return {
    load: () => (existsSync(path) ? readFileSync(path) : null),
    save: (bytes) => writeFileAtomic(path, [bytes]),
  };
}

/** Lasts as long as the object, for simulations and tests. */
export function volatileMemory(start: Uint8Array | null = null): TrainerMemory {
  let kept = start;
  return {
    load: () => kept,
    save: (bytes) => {
      kept = bytes;
    },
  };
}
