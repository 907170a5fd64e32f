/** Error feedback: what an encoding loses comes with the next update, whatever the coordinator did to the factors meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoraModule } from "../../../src/base/adapter.ts";
import { hostArray } from "../../../src/base/arrays.ts";
import { Rng } from "../../../src/base/rng.ts";
import { fullStructure, type Structure } from "../../../src/base/structure.ts";
import {
  decodeResidual,
  encodeResidual,
  type Factors,
  residualOf,
  withResidual,
} from "../../../src/device/training/residual.ts";
import { keepRecord, unpackRecord } from "../../../src/device/training/trainer-record.ts";
import { volatileMemory } from "../../../src/device/training/trainer-memory.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../../../src/io/adapter-file.ts";
import { changeNorm } from "../../../src/strategies/screening/change-norm.ts";
import { randomAdapter } from "../../support/adapters.ts";
import { must } from "../../support/must.ts";
import { TOY_SHAPE } from "../../support/toy-shape.ts";

const WHOLE = fullStructure(TOY_SHAPE.units);
const AT = { shape: TOY_SHAPE, structure: WHOLE };

/** The same product with its directions mixed, as a coordinator that cuts by singular values hands it out. */
function turned({ modules, heads }: Factors): Factors {
  const mix = (module: LoraModule): LoraModule => {
    const { a, b } = module;
    const [, inputs = 0] = a.shape;
    const [outputs = 0] = b.shape;
    const [p, q] = [hostArray(a.shape), hostArray(b.shape)];
    // (B M⁻¹)(M A) with M = [[2, 1], [0, -1]].
    for (let i = 0; i < inputs; i++) {
      const [x = 0, y = 0] = [a.data[i], a.data[inputs + i]];
      p.data[i] = 2 * x + y;
      p.data[inputs + i] = -y;
    }
    for (let o = 0; o < outputs; o++) {
      const [x = 0, y = 0] = [b.data[2 * o], b.data[2 * o + 1]];
      q.data[2 * o] = x / 2;
      q.data[2 * o + 1] = x / 2 - y;
    }
    return { ...module, a: p, b: q };
  };
  return { modules: modules.map(mix), heads };
}

test("over rounds the sum of what is sent stays with the sum of what was meant, also when factors are turned", () => {
  const meant: Factors = randomAdapter(Rng.fromSeed("meant"), 2);
  const far = (keepsResidual: boolean): number => {
    let residual = null;
    let error = { modules: [] as LoraModule[], heads: new Map() } as Factors;
    for (let round = 0; round < 12; round++) {
      const now = round % 2 === 0 ? meant : turned(meant);
      const full = withResidual(now, residual, AT);
      const sent = decodeAdapterFile(encodeAdapterFile(full, "int8"), "sent");
      if (keepsResidual) residual = residualOf(full, sent, WHOLE);
      const lack = residualOf(now, sent, WHOLE);
      const modules = lack.modules.map((module, i) => joined(module, error.modules[i]));
      const heads = new Map(
        [...lack.heads].map(([name, { shape, data }]) => {
          const before = error.heads.get(name)?.data;
          return [
            name,
            hostArray(
              shape,
              data.map((value, i) => value + (before?.[i] ?? 0)),
            ),
          ];
        }),
      );
      error = { modules, heads };
    }
    const { products, heads } = changeNorm(error, null);
    return products + heads;
  };
  const [kept, lost] = [far(true), far(false)];
  assert.ok(kept < 0.4 * lost, `${kept} with feedback, ${lost} without`);
});

/** One module whose product is the sum of both. */
function joined(x: LoraModule, y: LoraModule | undefined): LoraModule {
  if (y === undefined) return x;
  const [R = 0, inputs = 0] = x.a.shape;
  const [S = 0] = y.a.shape;
  const [outputs = 0] = x.b.shape;
  const a = hostArray([R + S, inputs]);
  a.data.set(x.a.data);
  a.data.set(y.a.data, R * inputs);
  const b = hostArray([outputs, R + S]);
  for (let o = 0; o < outputs; o++) {
    b.data.set(x.b.data.subarray(o * R, (o + 1) * R), o * (R + S));
    b.data.set(y.b.data.subarray(o * S, (o + 1) * S), o * (R + S) + R);
  }
  return { ...x, a, b };
}

test("what pruning has taken since is left out, and a residual of other units counts as none", () => {
  const meant: Factors = randomAdapter(Rng.fromSeed("pruned"), 2);
  const sent = decodeAdapterFile(encodeAdapterFile(meant, "int8"), "sent");
  const residual = residualOf(meant, sent, WHOLE);
  const structure: Structure = { layers: [{ heads: [1], ffn: [0, 3, 8] }] };
  const cut: Factors = {
    heads: meant.heads,
    modules: meant.modules.map(({ a, b, ...rest }) => {
      const [R = 0] = a.shape;
      const isQuery = rest.name.endsWith("query");
      return {
        ...rest,
        a: isQuery ? a : hostArray([R, 3], a.data.slice(0, R * 3)),
        b: isQuery ? hostArray([2, R], b.data.slice(0, 2 * R)) : b,
      };
    }),
  };
  const next = withResidual(cut, residual, { shape: TOY_SHAPE, structure });
  assert.deepEqual(
    next.modules.map(({ a, b }) => [a.shape, b.shape]),
    cut.modules.map(({ a, b }) => [a.shape, b.shape]),
  );
  assert.notDeepEqual(must(next.modules[0]).b, must(cut.modules[0]).b);
  assert.equal(withResidual(meant, { ...residual, structure }, AT), meant);
});

test("a residual survives a restart beside the state of pruning, and a damaged one counts as none", () => {
  const meant: Factors = randomAdapter(Rng.fromSeed("kept"), 2);
  const sent = decodeAdapterFile(encodeAdapterFile(meant, "int8"), "sent");
  const bytes = encodeResidual(residualOf(meant, sent, WHOLE), TOY_SHAPE.units);
  const memory = volatileMemory();
  keepRecord(memory, { pruning: Uint8Array.of(1, 2, 3) });
  assert.deepEqual(memory.load(), Uint8Array.of(1, 2, 3), "alone it is kept as it always was");
  keepRecord(memory, { residual: { run: "run-1", bytes } });
  keepRecord(memory, { pruning: Uint8Array.of(4) });
  const { pruning, residual } = unpackRecord(memory.load());
  assert.deepEqual([pruning, residual?.run], [Uint8Array.of(4), "run-1"]);
  const read = must(decodeResidual(must(residual).bytes, TOY_SHAPE.units));
  assert.deepEqual(encodeResidual(read, TOY_SHAPE.units), bytes);
  assert.equal(decodeResidual(bytes.subarray(0, 50), TOY_SHAPE.units), null);
  assert.equal(decodeResidual(null, TOY_SHAPE.units), null);
});
