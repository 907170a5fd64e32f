/** Device limits: the corridor, what memory adds to it, and what keeps a device out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { BaseDtype } from "../../src/base/base-dtype.ts";
import { ConfigError } from "../../src/base/errors.ts";
import { fullStructure } from "../../src/base/structure.ts";
import {
  type CoordinatorConfigInput,
  parseCoordinatorConfig,
} from "../../src/coordinator/config.ts";
import { DeviceLimits } from "../../src/coordinator/device-limits.ts";
import { FleetKnowledge } from "../../src/coordinator/fleet-knowledge.ts";
import { bodySparsity } from "../../src/cost/parameters.ts";
import { TOY_SHAPE } from "../support/toy-shape.ts";

const PRUNING = { final: 0.5, warmupShare: 0, cooldownShare: 0.2, minFfnShare: 0.2 };
const SHRUNK = { layers: [{ heads: [0, 2], ffn: [0, 1, 2, 3, 4, 5] }] };

function setUp(
  memoryBytes: number,
  settings: Partial<CoordinatorConfigInput> = {},
  found: { tensorBytes?: number; baseDtype?: BaseDtype } = {},
) {
  const config = parseCoordinatorConfig({
    base: "x",
    labels: ["no", "yes"],
    rounds: 10,
    memoryReserveBytes: 1000,
    pruning: PRUNING,
    controller: { kind: "random" },
    ranks: [1, 2, 8],
    ...settings,
    plan: { rank: 8, targets: "all-linear", batchSize: 4, maxTokens: 16 },
  });
  const knowledge = new FleetKnowledge(TOY_SHAPE, {}, new Map());
  const profile = { type: "pi", cores: 4, memoryBytes, hasBase: true, ...found };
  const limits = new DeviceLimits({
    config,
    shape: TOY_SHAPE,
    knowledge,
    profileOf: (device) => (device === "stranger" ? undefined : profile),
  });
  const view = (round: number, device = "a") => {
    const found = limits.of(device, round);
    assert.ok(found.kind === "fits", JSON.stringify(found));
    return found;
  };
  return { limits, knowledge, view };
}

const PLENTY = 1e9;

test("with plenty of memory the schedule alone decides, and all ranks are open", () => {
  const { view, knowledge, limits } = setUp(PLENTY);
  const first = view(1).view;
  assert.deepEqual(
    [first.id, first.type, first.cores, first.sparsity, first.ranks],
    ["a", "pi", 4, 0, [1, 2, 8]],
  );
  assert.ok(first.minSparsity >= 0 && first.maxSparsity <= 0.1 && first.maxSparsity > 0);
  knowledge.absorb([{ deviceId: "a", structure: SHRUNK, rank: 2, scores: new Map() }]);
  const later = view(5).view;
  assert.equal(later.sparsity, bodySparsity(TOY_SHAPE, SHRUNK));
  assert.ok(later.minSparsity >= later.sparsity);
  const { minSparsity, maxSparsity } = view(9).view;
  assert.deepEqual([minSparsity, maxSparsity], [0.5, 0.5], "all end alike");
  assert.equal(limits.of("stranger", 1).kind, "too-small", "no memory is known of it");
});

test("what memory cannot hold is cut off: first the large ranks, then the schedule gives way", () => {
  const { limits, view: roomy } = setUp(PLENTY);
  const { minSparsity } = roomy(1).view;
  const needs = (sparsity: number, rank: number): number =>
    limits.costOf("a", { sparsity, rank }).memoryBytes;
  assert.ok(needs(0, 8) > needs(0, 2) && needs(0, 1) > needs(0.4, 1));
  const twoRanks = setUp(1000 + needs(minSparsity, 2)).view(1).view;
  assert.deepEqual([twoRanks.minSparsity, twoRanks.ranks], [minSparsity, [1, 2]]);
  const { view, reference } = setUp(1000 + needs(0.4, 1)).view(1);
  assert.ok(view.minSparsity > 0.3 && view.minSparsity <= 0.402, `from ${view.minSparsity}`);
  assert.ok(view.maxSparsity >= view.minSparsity && view.minSparsity > reference);
  assert.equal(view.ranks[0], 1);
  const none = setUp(1000 + needs(0.8, 1) / 2).limits.of("a", 1);
  assert.ok(none.kind === "too-small" && none.neededBytes > none.availableBytes);
});

test("without pruning a device has to hold the whole model", () => {
  const { limits } = setUp(PLENTY, { pruning: null });
  const whole = limits.costOf("a", { sparsity: 0, rank: 1 }).memoryBytes;
  const fits = setUp(1000 + whole, { pruning: null }).view(7).view;
  assert.deepEqual([fits.minSparsity, fits.maxSparsity, fits.ranks], [0, 0, [1]]);
  const tooSmall = setUp(1000 + whole - 1, { pruning: null }).limits.of("a", 7);
  assert.deepEqual(tooSmall, { kind: "too-small", neededBytes: whole, availableBytes: whole - 1 });
});

test("a device that has lowered its own rank is not asked for more", () => {
  const { view, knowledge } = setUp(PLENTY, { selfPruning: {} });
  assert.deepEqual(view(2).view.ranks, [1, 2, 8]);
  const structure = fullStructure(TOY_SHAPE.units);
  knowledge.absorb([{ deviceId: "a", structure, rank: 5, scores: new Map() }]);
  assert.deepEqual(view(2).view.ranks, [1, 2, 5]);
});

test("a schedule that ends beyond the floors of pruning is refused", () => {
  const high = { ...PRUNING, final: 0.9 };
  assert.throws(() => setUp(PLENTY, { pruning: high }), ConfigError);
  assert.throws(() => setUp(PLENTY, { pruning: high }), /pruning.final cannot be reached/);
});

test("a plan that a device has refused for lack of memory is not asked for again", () => {
  const { limits } = setUp(PLENTY);
  const whole = limits.of("a", 1);
  assert.ok(whole.kind === "fits" && whole.view.ranks.includes(8));
  // Of a single layer recomputation saves nothing.
  const least = (rank: number): number => limits.costOf("a", { sparsity: 0, rank }).memoryBytes;
  const refused = setUp(PLENTY, {}, { tensorBytes: least(2) }).limits.of("a", 1);
  assert.ok(refused.kind === "fits");
  assert.deepEqual(refused.view.ranks, [1, 2]);
  const none = setUp(PLENTY, {}, { tensorBytes: 100 }).limits.of("a", 1);
  assert.ok(none.kind === "too-small");
  assert.equal(none.availableBytes, 100);
});

test("a device that holds the base in bytes is counted so", () => {
  const without = { pruning: null };
  const memoryOf = (baseDtype: BaseDtype): number =>
    setUp(PLENTY, without, { baseDtype }).limits.costOf("a", { sparsity: 0, rank: 1 }).memoryBytes;
  assert.ok(memoryOf("int8") < memoryOf("f32"));
  const memoryBytes = 1000 + memoryOf("int8");
  assert.equal(
    setUp(memoryBytes, without, { baseDtype: "f32" }).limits.of("a", 1).kind,
    "too-small",
  );
  assert.equal(setUp(memoryBytes, without, { baseDtype: "int8" }).limits.of("a", 1).kind, "fits");
});
