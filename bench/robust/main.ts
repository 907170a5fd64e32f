/**
 * `npm run bench:robust [-- rounds]`: what each rule makes of a fleet in which a fifth of the devices is hostile, with the norm bound and
 * without. Real training of the bundled base on the demo's events, ten gateways. One JSON line per run on stdout; docs/aggregation.md
 * quotes them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtInFleet, parseSimulationConfig } from "../../src/simulation/config.ts";
import type { Hostile } from "../../src/simulation/hostile.ts";
import { runSimulation } from "../../src/simulation/simulation.ts";

const BASE = fileURLToPath(new URL("../../../models/base-encoder", import.meta.url));
const RULES = ["lora-residual", "trimmed-mean", "coordinate-median", "centred-clipping"];
const SHARE = 0.2;
const ATTACKS: readonly (Hostile | null)[] = [
  null,
  { kind: "sign-flip", share: SHARE, factor: 10 },
  { kind: "sign-flip", share: SHARE, factor: 1 },
  { kind: "scale", share: SHARE, factor: 10 },
  { kind: "scale", share: SHARE, factor: 100 },
  { kind: "noise", share: SHARE, factor: 10 },
];
const rounds = Number(process.argv[2] ?? 8);

async function accuracyOf(
  rule: string,
  hostile: Hostile | null,
  isBound: boolean,
): Promise<Record<string, unknown>> {
  const outFolder = mkdtempSync(join(tmpdir(), "fedspine-robust-"));
  const settings = parseSimulationConfig({
    data: { maxExamples: 2000, maxTestExamples: 300 },
    fleet: { profile: "gateways", devices: 10, ...(hostile === null ? {} : { hostile }) },
    evaluation: { every: rounds },
    coordinator: {
      rounds,
      aggregation: { kind: rule },
      ...(isBound ? {} : { validation: { normFactor: null, samplesFactor: null } }),
      plan: {
        ...{ rank: 8, alpha: 16, targets: "all-linear", steps: 20, batchSize: 8, maxTokens: 48 },
        ...{ learningRate: 0.006, lastRateShare: 0.3 },
      },
    },
  });
  const { ok, reason, after, dropped } = await runSimulation(settings, {
    base: BASE,
    fleet: builtInFleet("gateways"),
    outFolder,
    numWorkers: availableParallelism(),
    resume: false,
    onEvent: () => undefined,
    onNote: () => undefined,
    signal: new AbortController().signal,
  });
  rmSync(outFolder, { recursive: true });
  const accuracy = after?.accuracy ?? null;
  return { ok, ...(ok ? {} : { reason }), accuracy, loss: after?.loss ?? null, dropped };
}

for (const hostile of ATTACKS) {
  for (const rule of RULES) {
    for (const isBound of [false, true]) {
      const attack = hostile === null ? "none" : `${hostile.kind} x${hostile.factor}`;
      const result = await accuracyOf(rule, hostile, isBound);
      console.log(JSON.stringify({ rule, attack, isBound, rounds, ...result }));
    }
  }
}
