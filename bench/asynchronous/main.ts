/**
 * `npm run bench:asynchronous [-- versions]`: the virtual time that a fleet of gateways which sleep half of the time needs to learn, when
 * rounds wait for their devices and when updates are merged as they come. Real training of the bundled base on the demo's events, as
 * slow as a larger model's. One JSON line per run on stdout; docs/asynchronous.md quotes them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtInFleet, parseSimulationConfig } from "../../src/simulation/config.ts";
import { runSimulation } from "../../src/simulation/simulation.ts";

const BASE = fileURLToPath(new URL("../../../models/base-encoder", import.meta.url));
const DEVICES = 8;
const SIZE = 3;
const HOUR_MS = 3_600_000;
const versions = Number(process.argv[2] ?? 16);

async function learn(mode: Record<string, unknown>, rounds: number): Promise<void> {
  const outFolder = mkdtempSync(join(tmpdir(), "fedspine-asynchronous-"));
  const settings = parseSimulationConfig({
    data: { maxExamples: 1600, maxTestExamples: 200 },
    fleet: {
      profile: "gateways",
      devices: DEVICES,
      overrides: { dutyCycle: { onShare: 0.5, periodSeconds: 3600 } },
    },
    // A step takes a Raspberry Pi 4 some seconds, and a round the slowest board most of the time that it is on.
    emulate: { gflopsPerStep: 40 },
    coordinator: {
      rounds,
      quorum: 0.3,
      maxAttempts: 100,
      aggregation: { kind: "lora-residual" },
      mode,
      plan: {
        ...{ rank: 8, alpha: 16, targets: "all-linear", steps: 20, batchSize: 8, maxTokens: 32 },
        ...{ learningRate: 0.006, lastRateShare: 0.3 },
      },
    },
  });
  const curve: { hours: number; accuracy: number; updates: number; maxStaleness: number }[] = [];
  let [updates, maxStaleness, nowMs] = [0, 0, 0];
  const { ok, reason, perRound, total } = await runSimulation(settings, {
    base: BASE,
    fleet: builtInFleet("gateways"),
    outFolder,
    numWorkers: availableParallelism(),
    resume: false,
    onEvent: (event) => {
      if (event.kind === "aggregated") {
        updates += event.devices.length;
        maxStaleness = event.maxStaleness;
      }
      if (event.kind !== "evaluated" || event.round === 0) return;
      curve.push({ hours: 0, accuracy: event.accuracy, updates, maxStaleness });
    },
    onNote: () => undefined,
    signal: new AbortController().signal,
  });
  perRound.forEach(({ startMs, durationMs }, i) => {
    nowMs = startMs + durationMs;
    const point = curve[i];
    if (point !== undefined) point.hours = Number((nowMs / HOUR_MS).toFixed(2));
  });
  rmSync(outFolder, { recursive: true });
  console.log(JSON.stringify({ mode, ok, reason, gflops: total.gflops, curve }));
}

await learn({ kind: "buffered", size: SIZE }, versions);
await learn({ kind: "sync" }, Math.ceil((SIZE * versions) / (DEVICES / 2)));
