/** The layout of updates: pruned and lower-ranked ones are read as what they are, and nothing hostile gets through or throws. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { hostArray } from "../../src/base/arrays.ts";
import { ConfigError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { type Structure, encodeStructure, fullStructure } from "../../src/base/structure.ts";
import { type Expectation, UpdateLayout } from "../../src/coordinator/update-layout.ts";
import { bodySparsity } from "../../src/cost/parameters.ts";
import { type AdapterContent, encodeAdapterFile } from "../../src/io/adapter-file.ts";
import { narrow } from "../../src/strategies/aggregation/narrow.ts";
import { moduleNamed, randomAdapter } from "../support/adapters.ts";
import { must } from "../support/must.ts";
import { TOY_HEADS, TOY_SHAPE } from "../support/toy-shape.ts";

const RANK = 3;
const SCALE = 2;
const WHOLE = fullStructure(TOY_SHAPE.units);
const PRUNED: Structure = { layers: [{ heads: [0, 2], ffn: [1, 4, 5] }] };
const EXPECTED: Expectation = { rank: RANK, mayLowerRank: false, within: WHOLE, mayPrune: true };
const layout = new UpdateLayout({
  shape: TOY_SHAPE,
  targets: "all-linear",
  heads: TOY_HEADS,
  scale: SCALE,
});

function content(structure: Structure, rank = RANK): AdapterContent {
  const whole = randomAdapter(Rng.fromSeed("x"), rank, SCALE);
  const sliced = narrow(whole, { pruned: { shape: TOY_SHAPE, structure } });
  return { ...sliced, structureText: encodeStructure(structure, TOY_SHAPE.units) };
}

function scoresOf(value: number, width = 3): AdapterContent["scores"] & object {
  return new Map([
    ["scores.heads", hostArray([1, width], new Float32Array(width).fill(value))],
    ["scores.ffn", hostArray([1, 9], new Float32Array(9).fill(1))],
  ]);
}

function reasonOf(update: AdapterContent, expected: Partial<Expectation> = {}): string {
  const read = layout.read(encodeAdapterFile(update), "update", { ...EXPECTED, ...expected });
  return "reason" in read ? read.reason : "sound";
}

test("a pruned update is read with the rows and columns that its factors belong to", () => {
  const bytes = encodeAdapterFile({ ...content(PRUNED), scores: scoresOf(0.5) });
  const read = layout.read(bytes, "update", EXPECTED);
  assert.ok(!("reason" in read), JSON.stringify(read));
  assert.deepEqual(read.structure, PRUNED);
  assert.equal(read.sparsity, bodySparsity(TOY_SHAPE, PRUNED));
  assert.equal(read.rank, RANK);
  assert.deepEqual([...read.scores.keys()].sort(), ["scores.ffn", "scores.heads"]);
  const { rows } = moduleNamed(read.state, "layers.0.query");
  const { cols } = moduleNamed(read.state, "layers.0.down");
  assert.deepEqual(rows, { indices: [0, 1, 4, 5], of: 6 });
  assert.deepEqual(cols, { indices: [1, 4, 5], of: 9 });
});

test("units that were pruned before do not come back, unless the run lets them", () => {
  assert.equal(reasonOf(content(PRUNED), { within: PRUNED }), "sound");
  assert.equal(reasonOf(content(WHOLE), { within: PRUNED }), "wrong-shape");
  const other = { layers: [{ heads: [1], ffn: [1] }] };
  assert.equal(reasonOf(content(other), { within: PRUNED }), "wrong-shape");
  assert.equal(reasonOf(content(PRUNED), { mayPrune: false }), "wrong-shape");
  assert.equal(reasonOf(content(WHOLE), { mayPrune: false }), "sound");
});

test("a lower rank counts under self-pruning only, a higher one never", () => {
  assert.equal(reasonOf(content(WHOLE, 2)), "wrong-shape");
  assert.equal(reasonOf(content(WHOLE, 2), { mayLowerRank: true }), "sound");
  assert.equal(reasonOf(content(WHOLE, 4), { mayLowerRank: true }), "wrong-shape");
  const [query, down] = content(WHOLE).modules;
  const mixed = { modules: [must(query), must(content(WHOLE, 2).modules[1])], heads: new Map() };
  assert.equal(must(down).name, must(mixed.modules[1]).name);
  assert.equal(reasonOf({ ...content(WHOLE), ...mixed }, { mayLowerRank: true }), "wrong-shape");
});

test("a structure that does not fit the factors or the model is refused", () => {
  const sliced = content(PRUNED);
  const text = (structureText: string | null) => reasonOf({ ...sliced, structureText });
  assert.equal(text(null), "wrong-shape");
  assert.equal(text(encodeStructure(WHOLE, TOY_SHAPE.units)), "wrong-shape");
  for (const odd of ["", "a", "0.ff8", "f.ff8", "e.fff", "e.ff8,e.ff8", "e.000", "é.ff8"]) {
    assert.equal(text(odd), "unreadable", odd);
  }
});

test("scores have to be finite, not negative, of the model's size, and of both kinds", () => {
  const scored = (scores: NonNullable<AdapterContent["scores"]>): string =>
    reasonOf({ ...content(WHOLE), scores });
  assert.equal(scored(scoresOf(0)), "sound");
  assert.equal(scored(scoresOf(-1)), "bad-scores");
  assert.equal(scored(scoresOf(Number.NaN)), "bad-scores");
  assert.equal(scored(scoresOf(Number.POSITIVE_INFINITY)), "bad-scores");
  assert.equal(scored(scoresOf(1, 4)), "wrong-shape");
  const half = scoresOf(1);
  half.delete("scores.ffn");
  assert.equal(scored(half), "wrong-shape");
});

test("a factor or head that is not finite, and a scale of another run, are refused", () => {
  const spoilt = content(WHOLE);
  must(spoilt.modules[0]).b.data[3] = Number.NaN;
  assert.equal(reasonOf(spoilt), "not-finite");
  const { modules, heads } = randomAdapter(Rng.fromSeed("x"), RANK, SCALE + 1);
  assert.equal(reasonOf({ modules, heads }), "unreadable");
});

test("no bytes make it throw, and what was tampered with never counts as another shape", () => {
  const good = encodeAdapterFile({ ...content(PRUNED), scores: scoresOf(1) });
  const position = fc.nat(good.length - 1);
  const changes = fc.array(fc.tuple(position, fc.nat(255)), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(changes, fc.nat(good.length), (edits, length) => {
      for (const bytes of [Uint8Array.from(good), Uint8Array.from(good).subarray(0, length)]) {
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        const read = layout.read(bytes, "update", EXPECTED);
        if ("reason" in read) continue;
        assert.equal(read.rank, RANK);
        for (const { a, b } of read.state.modules) {
          assert.ok([...a.data, ...b.data].every(Number.isFinite));
        }
        assert.ok([...read.scores.values()].every(({ data }) => data.every((x) => x >= 0)));
      }
    }),
    { numRuns: 300 },
  );
});

test("targets that select no layer are refused before the run", () => {
  const options = { shape: TOY_SHAPE, heads: TOY_HEADS, scale: SCALE };
  assert.throws(() => new UpdateLayout({ ...options, targets: ["value"] }), ConfigError);
});
