/** How much memory this process may take: what the settings, the container and the machine leave it. */
import { readFileSync } from "node:fs";

export interface MemoryBudget {
  /** For the whole process, resident. */
  readonly bytes: number;
  /** What sets the bound, in words for a message. */
  readonly source: string;
}

/** What the bound is found from; absent where the system does not say. */
export interface MemoryBounds {
  /** As the settings say. */
  readonly configuredBytes?: number;
  /** Of the control group, that is of the container or the service. */
  readonly groupBytes?: number;
  /** What the system could still give, without swapping, and what this process has already. */
  readonly availableBytes?: number;
  readonly totalBytes: number;
}

/** The smallest of the bounds. */
export function smallestBound(bounds: MemoryBounds): MemoryBudget {
  const named: [number | undefined, string][] = [
    [bounds.configuredBytes, "memoryBytes of the settings"],
    [bounds.groupBytes, "the limit of the control group"],
    [bounds.availableBytes, "the free memory of the machine"],
    [bounds.totalBytes, "the memory of the machine"],
  ];
  return named.reduce<MemoryBudget>(
    (least, [bytes, source]) =>
      bytes !== undefined && bytes < least.bytes ? { bytes, source } : least,
    { bytes: Infinity, source: "nothing" },
  );
}

/** Reads the bounds of this process from Linux; elsewhere the machine's memory is all that is known. */
export function memoryBounds(
  configuredBytes: number | undefined,
  totalBytes: number,
  read: (path: string) => string | null = readText,
): MemoryBounds {
  const groupBytes = groupLimit(read);
  const availableBytes = systemAvailable(read);
  return {
    totalBytes,
    ...(configuredBytes === undefined ? {} : { configuredBytes }),
    ...(groupBytes === undefined ? {} : { groupBytes }),
    ...(availableBytes === undefined ? {} : { availableBytes }),
  };
}

/** Version 2 says "max" where there is no limit, version 1 a number larger than any machine. */
function groupLimit(read: (path: string) => string | null): number | undefined {
  const path = /^0::(.+)$/m.exec(read("/proc/self/cgroup") ?? "")?.[1] ?? "/";
  const files = [
    `/sys/fs/cgroup${path}/memory.max`,
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
  ];
  const limits = files.map((file) => Number.parseInt(read(file) ?? "", 10));
  const finite = limits.filter((limit) => Number.isFinite(limit) && limit < 2 ** 60);
  return finite.length === 0 ? undefined : Math.min(...finite);
}

function systemAvailable(read: (path: string) => string | null): number | undefined {
  const kilobytes = (path: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(read(path) ?? "")?.[1] ?? NaN);
  const free = kilobytes("/proc/meminfo", "MemAvailable");
  const own = kilobytes("/proc/self/status", "VmRSS");
  return Number.isNaN(free) || Number.isNaN(own) ? undefined : 1024 * (free + own);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
