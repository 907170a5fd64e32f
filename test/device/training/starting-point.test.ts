/** What is read out of a received adapter, and what is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostArray, takeCols, takeRows, type HostArray } from "../../../src/base/arrays.ts";
import { CheckpointError, ConfigError } from "../../../src/base/errors.ts";
import { ownedOf } from "../../../src/base/model-shape.ts";
import { encodeStructure, fullStructure, type Structure } from "../../../src/base/structure.ts";
import { cutModules, readStart } from "../../../src/device/training/starting-point.ts";
import { encodeAdapterFile } from "../../../src/io/adapter-file.ts";
import { must } from "../../support/must.ts";
import { PLAN, someModules, tinyBase, tinyDevice } from "../../support/tiny-device.ts";

const SCALE = PLAN.alpha / PLAN.rank;

async function setUp(t: Parameters<typeof tinyBase>[0]) {
  const folder = tinyBase(t);
  const { shape } = await tinyDevice(folder);
  const modules = someModules(folder, () => 2);
  const { units } = shape;
  const structure: Structure = {
    layers: fullStructure(units).layers.map(({ ffn }, i) => ({
      heads: [i, i + 2],
      ffn: ffn.filter((id) => id % 2 === i),
    })),
  };
  const scores = new Map([
    ["scores.heads", hostArray([units.layers, units.heads])],
    ["scores.ffn", hostArray([units.layers, units.ffn])],
  ]);
  return { shape, modules, structure, scores, heads: new Map<string, HostArray>() };
}

test("nothing received is a start from the whole model", async (t) => {
  const { shape } = await setUp(t);
  const start = readStart(null, shape, SCALE);
  assert.deepEqual(start.structure, fullStructure(shape.units));
  assert.deepEqual([start.adapter, start.fleetScores], [null, null]);
});

test("modules are cut by original units, in one go or in two", async (t) => {
  const { shape, modules, structure, heads } = await setUp(t);
  const before = fullStructure(shape.units);
  const small = {
    layers: structure.layers.map((l) => ({ heads: [must(l.heads[1])], ffn: l.ffn.slice(3) })),
  };
  const once = cutModules(modules, shape, { before, structure: small });
  const half = cutModules(modules, shape, { before, structure });
  const structureText = encodeStructure(structure, shape.units);
  const received = readStart(
    encodeAdapterFile({ modules: half, heads, structureText }),
    shape,
    SCALE,
  );
  assert.deepEqual(received.structure, structure);
  const twice = cutModules(must(received.adapter).modules, shape, {
    before: structure,
    structure: small,
  });
  const sorted = [...once].sort((x, y) => (x.name < y.name ? -1 : 1));
  assert.deepEqual(twice, sorted);
  for (const { name, a, b } of once) {
    const whole = must(modules.find((module) => module.name === name));
    const { rows, cols } = ownedOf(must(shape.linears.find((l) => l.name === name)), small);
    assert.deepEqual(a, cols === undefined ? whole.a : takeCols(whole.a, cols.indices));
    assert.deepEqual(b, rows === undefined ? whole.b : takeRows(whole.b, rows.indices));
  }
});

test("the fleet's scores are read by original unit", async (t) => {
  const { shape, modules, heads, scores } = await setUp(t);
  must(scores.get("scores.ffn")).data[shape.units.ffn + 3] = 0.5;
  const { fleetScores } = readStart(encodeAdapterFile({ modules, heads, scores }), shape, SCALE);
  assert.equal(must(fleetScores)[1]?.ffn[3], 0.5);
  assert.equal(must(fleetScores)[0]?.ffn[3], 0);
});

test("scores that are half there, misshapen, negative or not finite are refused", async (t) => {
  const { shape, modules, heads, scores } = await setUp(t);
  const { units } = shape;
  const refused = [
    new Map([["scores.heads", must(scores.get("scores.heads"))]]),
    new Map(scores).set("scores.ffn", hostArray([units.ffn, units.layers])),
    ...[-1, NaN, Infinity].map((bad) => {
      const data = new Float32Array(units.layers * units.ffn);
      data[5] = bad;
      return new Map(scores).set("scores.ffn", hostArray([units.layers, units.ffn], data));
    }),
  ];
  for (const wrong of refused) {
    const bytes = encodeAdapterFile({ modules, heads, scores: wrong });
    assert.throws(() => readStart(bytes, shape, SCALE), CheckpointError);
  }
});

test("factors of another structure, layer or scale are refused", async (t) => {
  const { shape, modules, structure, heads } = await setUp(t);
  const structureText = encodeStructure(structure, shape.units);
  const read = (content: Parameters<typeof encodeAdapterFile>[0]) => () =>
    readStart(encodeAdapterFile(content), shape, SCALE);
  assert.throws(read({ modules, heads, structureText }), CheckpointError);
  const strange = modules.map((module) => ({ ...module, name: `other.${module.name}` }));
  assert.throws(read({ modules: strange, heads }), CheckpointError);
  const scaled = modules.map((module) => ({ ...module, scale: 7 }));
  assert.throws(read({ modules: scaled, heads }), CheckpointError);
  assert.throws(read({ modules, heads, structureText: "f.f" }), ConfigError);
});
