/** Threads come and go: growth while they sleep, failures told, fallbacks, and no process kept alive. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { createBoardMemory } from "../../../src/backend/threads/board.ts";
import { createSharedMemory } from "../../../src/backend/threads/load.ts";
import { Team } from "../../../src/backend/threads/team.ts";
import { loadKernels, type StartedKernels } from "../../../src/backend/wasm.ts";
import { KernelError } from "../../../src/base/errors.ts";

const moduleUrl = new URL("../../../../build/kernels.simd.threads.wasm", import.meta.url);
const module = new WebAssembly.Module(new Uint8Array(readFileSync(moduleUrl)));

/** Two threads, and the worker that is the second one. */
async function start(t: TestContext): Promise<{ set: StartedKernels; worker: Worker }> {
  const started = once(process, "worker");
  const set = loadKernels({ threads: 2 });
  t.after(() => set.dispose());
  assert.equal(set.threads, 2, set.reason);
  const [worker] = (await started) as [Worker];
  // Lets a test wait for its end.
  worker.ref();
  return { set, worker };
}

/** Enough elements for a share for each of two threads. */
const numElements = 40_000;

/** Fills memory behind `at` with gelu(1) by a call that is shared out, and reads the result. */
function geluOfOnes({ kernels, memory }: StartedKernels, at: number): Float32Array {
  const missing = at + 4 * numElements - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  const values = new Float32Array(memory.buffer, at, numElements).fill(1);
  kernels.geluF32(at, at, numElements);
  return values;
}

test("threads that sleep see the memory that has been added since", async (t) => {
  const { set } = await start(t);
  const first = geluOfOnes(set, 65536).slice();
  for (let round = 1; round <= 5; round++) {
    await sleep(20);
    assert.deepEqual(geluOfOnes(set, set.memory.buffer.byteLength).slice(), first);
  }
});

test("a share that traps gives a KernelError that names the kernel, and ends the threads", async () => {
  const started = once(process, "worker");
  const memory = createSharedMemory(1);
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const names = Object.keys(exports);
  const team = new Team(1, { module, memory, names, board: createBoardMemory() });
  const [worker] = (await started) as [Worker];
  worker.ref();
  const isGone = once(worker, "exit");
  const end = memory.buffer.byteLength;
  const call = {
    ...{ kernel: names.indexOf("geluF32"), split: 0, shares: 2, longShares: 2, scratchStride: 0 },
    args: [end - 64, 1024, 32],
  };
  // While the first share, which fits into memory, takes its time, the thread takes the other one.
  const pause = new Int32Array(new SharedArrayBuffer(4));
  assert.throws(() => team.run(call, () => Atomics.wait(pause, 0, 0, 200)), {
    name: "KernelError",
    message: /one failed in geluF32: got memory access out of bounds/,
  });
  assert.equal(team.size, 0);
  await isGone;
});

test("a thread that ended is told of at the next call", async (t) => {
  const { set, worker } = await start(t);
  await worker.terminate();
  assert.throws(() => geluOfOnes(set, 65536), {
    name: "KernelError",
    message: /one failed in geluF32.*ended with code 1/,
  });
});

test("disposing ends the threads, and the kernels run on", async (t) => {
  const { set, worker } = await start(t);
  const isGone = once(worker, "exit");
  set.dispose();
  await isGone;
  assert.ok(Math.abs((geluOfOnes(set, 65536)[numElements - 1] as number) - 0.8413447) < 1e-6);
});

test("one thread serves where threads cannot be had, and the reason says why", (t) => {
  const reference = loadKernels({ variant: "reference", threads: 2 });
  assert.equal(reference.threads, 1);
  assert.match(reference.reason, /on one thread \(the reference kernels have no threads/);

  const kept = Object.getOwnPropertyDescriptor(globalThis, "SharedArrayBuffer") ?? {};
  t.after(() => Object.defineProperty(globalThis, "SharedArrayBuffer", kept));
  Reflect.deleteProperty(globalThis, "SharedArrayBuffer");
  const set = loadKernels({ threads: 2 });
  assert.equal(set.threads, 1);
  assert.match(set.reason, /on one thread \(.*SharedArrayBuffer/);
});

test("one thread serves where 32-bit addresses leave no room for shared memory", (t) => {
  const { Memory: kept } = WebAssembly;
  t.after(() => void (WebAssembly.Memory = kept));
  const maxima: (number | undefined)[] = [];
  WebAssembly.Memory = class extends kept {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean }) {
      if (descriptor.shared === true) {
        maxima.push(descriptor.maximum);
        throw new RangeError("could not allocate memory");
      }
      super(descriptor);
    }
  };
  const set = loadKernels({ threads: 2 });
  assert.equal(set.threads, 1);
  assert.match(set.reason, /no shared memory can be reserved \(could not allocate memory\)/);
  assert.deepEqual(maxima, [65536, 32768, 16384, 8192]);
});

test("a number of threads that is none is refused", () => {
  for (const threads of [0, -1, 1.5, NaN, 1000]) {
    assert.throws(() => loadKernels({ threads }), KernelError, String(threads));
  }
});

for (const [how, code] of [
  ["when its work is done", ""],
  ["by process.exit", "process.exit(0);"],
] as const) {
  test(`a process with threads ends ${how}`, async () => {
    const loader = new URL("../../../src/backend/wasm.js", import.meta.url);
    const script =
      `const { loadKernels } = await import(${JSON.stringify(loader.href)});` +
      `const { kernels, threads } = loadKernels({ threads: 3 });` +
      `kernels.geluF32(65536, 65536, 100000); console.log(threads); ${code}`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 20_000,
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const [exitCode] = (await once(child, "close")) as [number | null];
    assert.deepEqual([exitCode, output], [0, "3\n"]);
  });
}
