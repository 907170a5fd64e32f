/** Interleaved timing of several engines on one task. */

export interface Contender {
  readonly name: string;
  /** Milliseconds of one run. */
  run(): Promise<number>;
}

/** Medians in milliseconds, in the order of the contenders; each round runs every one of them once. */
export async function interleavedMedians(
  contenders: readonly Contender[],
  { rounds, warmUps = 2 }: { rounds: number; warmUps?: number },
): Promise<number[]> {
  const times = contenders.map((): number[] => []);
  for (let round = -warmUps; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) {
      const ms = await contender.run();
      if (round >= 0) times[i]?.push(ms);
    }
  }
  return times.map((values) => values.toSorted((a, b) => a - b)[rounds >> 1] as number);
}

/** Times something that may be synchronous. */
export function timed(name: string, run: () => unknown): Contender {
  return {
    name,
    async run() {
      const startMs = performance.now();
      await run();
      return performance.now() - startMs;
    },
  };
}

/** One JSON line per contender on stdout with its ratio to the peer's time, and a line for people on stderr. */
export function printMedians(
  record: { readonly name: string; readonly shape: string },
  contenders: readonly Contender[],
  medians: readonly number[],
  peerName: string,
): void {
  const peer = medians[contenders.findIndex(({ name }) => name === peerName)] ?? NaN;
  const cells = contenders.map(({ name }, i) => {
    const ms = medians[i] as number;
    const ratio = ms / peer;
    console.log(
      JSON.stringify({ ...record, engine: name, ms, ratio, node: process.versions.node }),
    );
    return `${name} ${ms.toFixed(1)} ms (${ratio.toFixed(2)}x)`;
  });
  console.error(`${record.shape.padEnd(18)} ${cells.join("   ")}`);
}
