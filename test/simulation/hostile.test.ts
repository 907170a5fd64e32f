/** A fleet with hostile devices, in real training: what ruins plain averaging does not ruin what is bounded or robust. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../../src/io/adapter-file.ts";
import { corrupted, hostileIds, type Hostile } from "../../src/simulation/hostile.ts";
import { changeNorm } from "../../src/strategies/screening/change-norm.ts";
import { randomAdapter } from "../support/adapters.ts";
import { SmallSimulation } from "../support/small-simulation.ts";
import { tinyWords } from "../support/tiny-model.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const ATTACKS: readonly Hostile[] = [
  { kind: "sign-flip", share: 0.2, factor: 10 },
  { kind: "scale", share: 0.2, factor: 100 },
  { kind: "noise", share: 0.2, factor: 30 },
];
const UNBOUND = { normFactor: null, samplesFactor: null };

/** Two words in any order, of which one is the label: ten devices of a tiny model learn it in four short rounds. */
function shortSentences(): string {
  const rng = Rng.fromSeed("short sentences");
  const lines = Array.from({ length: 400 }, () => {
    const label = rng.pick(["error", "leak", "fine"]);
    return `${rng.shuffle([rng.pick(tinyWords), label]).join(" ")}\t${label}`;
  });
  return `text\tlabel\n${lines.join("\n")}\n`;
}

test("a fifth of the devices ruins plain averaging, and neither a robust rule nor a bounded one", async (t) => {
  const folder = temporaryFolder(t);
  const accuracy = async (
    kind: string,
    hostile: Hostile | null,
    validation: Partial<typeof UNBOUND> = UNBOUND,
  ): Promise<number> => {
    const simulation = new SmallSimulation(folder, {
      data: { source: join(folder, "data.tsv"), maxTestExamples: 48 },
      fleet: { profile: "gateways", devices: 10, ...(hostile === null ? {} : { hostile }) },
      coordinator: {
        rounds: 4,
        aggregation: { kind },
        validation,
        plan: {
          ...{ rank: 4, alpha: 8, targets: "all-linear", steps: 10, batchSize: 8, maxTokens: 8 },
          ...{ learningRate: 0.03, lastRateShare: 0.5, dropout: 0 },
        },
      },
    });
    writeFileSync(join(folder, "data.tsv"), shortSentences());
    const bound = validation === UNBOUND ? "unbound" : "bound";
    const { summary } = await simulation.run([kind, hostile?.kind, bound].join("-"), {
      workers: 2,
    });
    assert.equal(summary.ok, true, summary.reason);
    return summary.after?.accuracy ?? 0;
  };
  const goal = await accuracy("lora-residual", null);
  assert.ok(goal > 0.9, `without an attack: ${goal}`);
  const [flip, scale, noise] = ATTACKS as [Hostile, Hostile, Hostile];
  for (const attack of [flip, scale, noise]) {
    const plain = await accuracy("lora-residual", attack);
    assert.ok(plain < 0.7, `plain averaging against ${attack.kind}: ${plain}`);
    const bounded = await accuracy("lora-residual", attack, {});
    assert.ok(bounded > 0.85, `a norm bound against ${attack.kind}: ${bounded}`);
  }
  for (const [kind, attack] of [
    ["trimmed-mean", scale],
    ["trimmed-mean", flip],
    ["coordinate-median", flip],
    ["centred-clipping", noise],
    ["centred-clipping", flip],
  ] as const) {
    const robust = await accuracy(kind, attack);
    assert.ok(robust > 0.85, `${kind} against ${attack.kind}: ${robust}`);
  }
});

test("hostile devices are a share of the fleet, the same for the same seed", () => {
  const ids = Array.from({ length: 10 }, (_, i) => `sim-${i}`);
  const attack = ATTACKS[0] as Hostile;
  const chosen = hostileIds(ids, attack, 1);
  assert.equal(chosen.size, 2);
  assert.deepEqual(hostileIds(ids, attack, 1), chosen);
  const others = [2, 3, 4].map((seed) => [...hostileIds(ids, attack, seed)].join());
  assert.ok(new Set([...others, [...chosen].join()]).size > 1);
});

test("what they send is as far from their start as they are told, and well formed", () => {
  const rng = Rng.fromSeed("hostile");
  const [start, step] = [randomAdapter(rng, 2), randomAdapter(rng, 2)];
  const near = {
    heads: start.heads,
    modules: start.modules.map((module, i) => ({
      ...module,
      b: {
        ...module.b,
        data: module.b.data.map((value, at) => value + 0.01 * (step.modules[i]?.b.data[at] ?? 0)),
      },
    })),
  };
  const [update, before] = [encodeAdapterFile(near), encodeAdapterFile(start)];
  const honest = changeNorm(near, start).products;
  for (const attack of ATTACKS) {
    const sent = corrupted(update, before, attack, "seed");
    assert.deepEqual(corrupted(update, before, attack, "seed"), sent);
    const { products } = changeNorm(decodeAdapterFile(sent, "sent"), start);
    const tolerance = attack.kind === "noise" ? 0.3 : 0.01;
    assert.ok(Math.abs(products / honest / attack.factor - 1) < tolerance, attack.kind);
  }
});
