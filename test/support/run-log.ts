/** The events of a made-up run with pruning, as a coordinator logs them: some devices a round, of three speeds. */
import { Rng } from "../../src/base/rng.ts";
import type { RunEvent } from "../../src/coordinator/run-events.ts";

export interface RunLogOptions {
  readonly devices: readonly string[];
  readonly rounds: number;
  readonly perRound: number;
}

export type LogLine = RunEvent & { at: number };

/** Lines of a finished run; cut them for one that was broken off. */
export function runLog({ devices, rounds, perRound }: RunLogOptions): LogLine[] {
  const rng = Rng.fromSeed(1);
  const lines: LogLine[] = [];
  let at = 1_795_371_364_805;
  const tell = (event: RunEvent): void => void lines.push({ at: Math.round(at), ...event });
  tell({ kind: "run-started", fleet: "plant-7", rounds, epoch: 1, resumedRound: null });
  tell({ kind: "evaluated", round: 0, ms: 900, accuracy: 0.1, loss: 2.3, macroF1: 0.05 });
  devices.forEach((device, i) => {
    const type = ["tx2", "nx", "agx"][i % 3] ?? "";
    tell({ kind: "device-joined", device, type, cores: 4, memoryBytes: 8e9, hasBase: false });
  });
  const seen = new Set<string>();
  for (let round = 1; round <= rounds; round++) {
    const asked = rng.shuffle([...devices]).slice(0, perRound);
    const progress = round / rounds;
    const choices = Object.fromEntries(
      asked.map((device) => {
        const sparsity = Math.max(0, 0.5 * progress - 0.1 * rng.next() * (1 - progress));
        return [device, { sparsity, rank: rng.pick([2, 4, 8, 16, 32]) }];
      }),
    );
    tell({ kind: "round-started", round, attempt: 1, devices: asked, timeoutMs: 120_000, choices });
    for (const [device, { sparsity, rank }] of Object.entries(choices)) {
      tell({
        ...{ kind: "controller-decided", round, device, sparsity, rank },
        ...{ minSparsity: 0, maxSparsity: 0.5, ranks: [2, 4, 8, 16, 32], reason: "by lot" },
        ...{ referenceSparsity: 0.5 * progress, reachedSparsity: 0 },
        ...{ gflopsPerStep: 2, memoryBytes: 5e7 },
      });
    }
    const longest = asked.map((device) => {
      const { sparsity, rank } = choices[device] ?? { sparsity: 0, rank: 8 };
      const speed = [4, 2, 1][devices.indexOf(device) % 3] ?? 1;
      const stepMs = 100 * speed * (1 - 0.9 * sparsity) * (0.9 + 0.2 * rng.next());
      const updateBytes = Math.round(62_000 * rank * (1 - sparsity / 2));
      const times = { trainMs: 20 * stepMs, downloadMs: 400 * speed, uploadMs: updateBytes / 200 };
      const isFirst = !seen.has(device);
      seen.add(device);
      tell({
        ...{ kind: "update-received", round, device, updateBytes, rank, sparsity, stepMs },
        ...{ numSamples: 100 + 10 * devices.indexOf(device), steps: 20, ...times },
        ...{ lossFirst: 2.3 * (1 - 0.5 * progress), lossLast: 2.1 * (1 - 0.6 * progress) },
        ...{ heldOutLoss: null, pruningSkipped: false, importance: 1 },
        ...{ peakBytes: 5e7 * (1 - 0.5 * sparsity), residentBytes: 1.8e8 },
        bytesDown: updateBytes + (isFirst ? 7e6 : 0),
      });
      return times.trainMs + times.downloadMs + times.uploadMs;
    });
    const longestMs = Math.max(...longest);
    at += longestMs;
    const discardedEnergy = 0.1 / round;
    const numSamples = 100 * asked.length;
    const meanSparsity = 0.5 * progress;
    tell({
      kind: "aggregated",
      round,
      devices: asked,
      numSamples,
      discardedEnergy,
      meanSparsity,
      meanStaleness: 0,
      maxStaleness: 0,
      ms: 90,
    });
    const accuracy = 0.1 + 0.6 * (1 - Math.exp(-4 * progress)) + 0.02 * rng.next();
    const worst = { device: asked[0] ?? "", accuracy: 0.8 * accuracy, loss: 2, macroF1: 0.5 };
    const score = { accuracy, loss: 2.3 - accuracy, macroF1: 0.9 * accuracy };
    tell({ kind: "evaluated", round, ms: 900, ...score, numDevices: perRound, worst });
    const waitingMs = longestMs / 2;
    tell({
      kind: "round-finished",
      round,
      attempts: 1,
      durationMs: longestMs,
      longestMs,
      waitingMs,
    });
  }
  tell({ kind: "finished", ok: true, reason: "all rounds are done" });
  return lines;
}

/** What a coordinator appends to events.jsonl for these events. */
export function logText(lines: readonly object[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}
