/** An engine that counts the work of what runs on it: calls, multiply-adds, operands, allocations, copies from JavaScript. */
import type { Kernels } from "../../src/backend/kernels.ts";
import { Engine } from "../../src/tensor/engine.ts";

export interface Work {
  /** Kernel calls by name; those that answer questions about sizes do not count. */
  calls: Record<string, number>;
  /** Of the matrix products of linear layers and adapters; attention has its own. */
  multiplyAdds: number;
  /** Both operands of each of these products: what is packed at least. */
  operandBytes: number;
  /** Blocks taken from the arena. */
  allocations: number;
  /** Bytes copied from JavaScript into linear memory. */
  copiedBytes: number;
}

type AnyKernel = (...args: number[]) => unknown;

/** Products, with the places of M, N and K among their arguments. */
const products: Partial<Record<keyof Kernels, readonly [number, number, number]>> = {
  affineF32: [5, 6, 7],
  matmulNnF32: [4, 5, 6],
  matmulNtF32: [4, 5, 6],
  matmulTnF32: [4, 5, 6],
};

export function countedEngine(): { engine: Engine; work: Work; reset: () => void } {
  const engine = Engine.create();
  const work: Work = {
    calls: {},
    multiplyAdds: 0,
    operandBytes: 0,
    allocations: 0,
    copiedBytes: 0,
  };
  const kernels = Object.entries<unknown>(engine.kernels).map(([name, kernel]) => {
    if (typeof kernel !== "function" || name.endsWith("ScratchBytes")) return [name, kernel];
    return [name, counted(name as keyof Kernels, kernel as AnyKernel, work)];
  });
  Object.assign(engine, { kernels: Object.fromEntries(kernels) as Kernels });
  const { arena } = engine;
  const allocate = arena.allocate.bind(arena);
  arena.allocate = (...args) => {
    work.allocations++;
    return allocate(...args);
  };
  const integers = engine.integers.bind(engine);
  engine.integers = (values, region) => {
    work.copiedBytes += 4 * values.length;
    return integers(values, region);
  };
  const fromHost = engine.fromHost.bind(engine);
  engine.fromHost = (host, region) => {
    work.copiedBytes += host.data.byteLength;
    return fromHost(host, region);
  };
  const reset = (): void => {
    Object.assign(work, { calls: {}, multiplyAdds: 0, operandBytes: 0, allocations: 0 });
    work.copiedBytes = 0;
  };
  return { engine, work, reset };
}

function counted(name: keyof Kernels, kernel: AnyKernel, work: Work): AnyKernel {
  return (...args) => {
    work.calls[name] = (work.calls[name] ?? 0) + 1;
    const places = products[name];
    if (places !== undefined) {
      const [M, N, K] = places.map((place) => args[place]) as [number, number, number];
      work.multiplyAdds += M * N * K;
      work.operandBytes += 4 * (M + N) * K;
    }
    return kernel(...args);
  };
}
