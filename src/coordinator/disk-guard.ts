/** What a coordinator does while its disk takes nothing: it holds still, and looks every few seconds whether that is over. */
import type { Clock, Timer } from "../base/clock.ts";
import type { RunEvent } from "./run-events.ts";

export interface DiskGuardOptions {
  readonly clock: Clock;
  /** Writes so many bytes where the run is kept, and removes them. Throws while the disk refuses. */
  readonly probe: (sizeBytes: number) => void;
  readonly tell: (event: RunEvent) => void;
  /** Called when the disk takes data again. */
  readonly onFree: () => void;
}

/** Between two looks. */
const PROBE_MS = 5000;
const LEAST_PROBE_BYTES = 64 * 1024;
const FAULTS = new Set(["ENOSPC", "EDQUOT", "EROFS", "EIO", "EFBIG", "EACCES", "EPERM", "ENOENT"]);

/** Whether an error, or what caused it, says that the disk is full, read-only or broken. */
export function isDiskFault(error: unknown): boolean {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if (FAULTS.has((at as NodeJS.ErrnoException).code ?? "")) return true;
  }
  return false;
}

export class DiskGuard {
  readonly #options: DiskGuardOptions;
  readonly #waiting: (() => void)[] = [];
  #timer: Timer | null = null;
  #neededBytes = LEAST_PROBE_BYTES;

  constructor(options: DiskGuardOptions) {
    this.#options = options;
  }

  get isBlocked(): boolean {
    return this.#timer !== null;
  }

  /** Begins to hold still. `neededBytes` is what did not fit. */
  block(error: unknown, neededBytes = 0): void {
    this.#neededBytes = Math.max(this.#neededBytes, neededBytes);
    if (this.isBlocked) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#options.tell({ kind: "disk-blocked", reason });
    this.#look();
  }

  /** Does what needs the disk, again and again until the disk takes it. Rejects with what is no fault of the disk. */
  async insist<T>(work: () => T): Promise<T> {
    for (;;) {
      try {
        return work();
      } catch (error) {
        if (!isDiskFault(error)) throw error;
        this.block(error);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
      }
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #look(): void {
    this.#timer = this.#options.clock.after(PROBE_MS, () => {
      try {
        this.#options.probe(this.#neededBytes);
      } catch {
        return this.#look();
      }
      this.#timer = null;
      this.#neededBytes = LEAST_PROBE_BYTES;
      this.#options.tell({ kind: "disk-free" });
      for (const resolve of this.#waiting.splice(0)) resolve();
      this.#options.onFree();
    });
  }
}
