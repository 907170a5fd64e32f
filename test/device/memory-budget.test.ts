/** What a process may take, from the texts that Linux shows. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryBounds, smallestBound } from "../../src/device/memory-budget.ts";

const MIB = 2 ** 20;
const PROC = {
  "/proc/meminfo": "MemTotal:  8000000 kB\nMemAvailable:  500000 kB\n",
  "/proc/self/status": "VmHWM: 90000 kB\nVmRSS:\t   60000 kB\n",
};

function budget(files: Readonly<Record<string, string>>, configured?: number) {
  return smallestBound(memoryBounds(configured, 8e9, (path) => files[path] ?? null));
}

test("the smallest of settings, container, free memory and machine counts, and is named", () => {
  assert.deepEqual(budget({}), { bytes: 8e9, source: "the memory of the machine" });
  const free = 1024 * 560000;
  assert.deepEqual(budget(PROC), { bytes: free, source: "the free memory of the machine" });
  const contained = { ...PROC, "/sys/fs/cgroup/memory.max": `${128 * MIB}\n` };
  assert.deepEqual(budget(contained), {
    bytes: 128 * MIB,
    source: "the limit of the control group",
  });
  assert.deepEqual(budget(contained, 1e8), { bytes: 1e8, source: "memoryBytes of the settings" });
});

test("a service's own group counts under version 2, and no limit is none in either version", () => {
  const service = {
    "/proc/self/cgroup": "0::/system.slice/fedspine.service\n",
    "/sys/fs/cgroup/system.slice/fedspine.service/memory.max": `${64 * MIB}\n`,
    "/sys/fs/cgroup/memory.max": "max\n",
  };
  assert.equal(budget(service).bytes, 64 * MIB);
  assert.equal(budget({ "/sys/fs/cgroup/memory.max": "max\n" }).bytes, 8e9);
  const older = { "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n" };
  assert.equal(budget(older).bytes, 8e9);
  assert.equal(
    budget({ "/sys/fs/cgroup/memory/memory.limit_in_bytes": `${96 * MIB}\n` }).bytes,
    96 * MIB,
  );
});
