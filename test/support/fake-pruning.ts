/** Pruning without an engine: each device drops the units of the toy model in an order of its own. */
import type { AdapterState, LoraModule } from "../../src/base/adapter.ts";
import { type HostArray, type NamedArrays, hostArray } from "../../src/base/arrays.ts";
import { ownedOf } from "../../src/base/model-shape.ts";
import { Rng } from "../../src/base/rng.ts";
import {
  type Structure,
  type UnitKind,
  scoreTensors,
  unitKinds,
} from "../../src/base/structure.ts";
import { bodySparsity } from "../../src/cost/parameters.ts";
import { must } from "./must.ts";
import { TOY_SHAPE } from "./toy-shape.ts";

/** Removes units until at least `sparsity` of the body is gone, or one unit of each kind is left. */
export function prunedTo(structure: Structure, sparsity: number, deviceId: string): Structure {
  const { units } = TOY_SHAPE;
  const all = unitKinds.flatMap((kind) =>
    Array.from({ length: units[kind] }, (_, id) => ({ kind, id })),
  );
  let left = structure;
  for (const { kind, id } of Rng.fromSeed(`units of ${deviceId}`).shuffle(all)) {
    if (bodySparsity(TOY_SHAPE, left) >= sparsity) break;
    left = without(left, kind, id);
  }
  return left;
}

function without({ layers }: Structure, kind: UnitKind, id: number): Structure {
  const layer = must(layers[0]);
  const rest = layer[kind].filter((other) => other !== id);
  return { layers: [rest.length === 0 ? layer : { ...layer, [kind]: rest }] };
}

/** Scores that differ by device and unit; 0 for units that are gone. */
export function fakeScores(structure: Structure, deviceId: string): NamedArrays {
  const rng = Rng.fromSeed(`scores of ${deviceId}`);
  return new Map(
    unitKinds.map((kind) => {
      const scores = hostArray([1, TOY_SHAPE.units[kind]]);
      const kept = must(structure.layers[0])[kind];
      scores.data.forEach((_, id) => {
        const score = rng.next();
        if (kept.includes(id)) scores.data[id] = score;
      });
      return [scoreTensors[kind], scores];
    }),
  );
}

/** The adapter in the coordinates of the unpruned model, zeros where units are missing. */
export function widened({ modules, heads }: AdapterState, structure: Structure): AdapterState {
  return { modules: modules.map((module) => widenedModule(module, structure)), heads };
}

function widenedModule(module: LoraModule, structure: Structure): LoraModule {
  const linear = must(TOY_SHAPE.linears.find(({ name }) => name === module.name));
  const { rows, cols } = ownedOf(linear, structure);
  const { name, a, b, scale } = module;
  return {
    name,
    a: cols === undefined ? a : scattered(a, [all(a.shape[0]), cols.indices], cols.of),
    b: rows === undefined ? b : scattered(b, [rows.indices, all(b.shape[1])], b.shape[1], rows.of),
    scale,
  };
}

function scattered(
  { data }: HostArray,
  [rows, cols]: [readonly number[], readonly number[]],
  width = 0,
  height = rows.length,
): HostArray {
  const whole = hostArray([height, width]);
  rows.forEach((row, r) =>
    cols.forEach((col, c) => {
      whole.data[row * width + col] = data[r * cols.length + c] ?? 0;
    }),
  );
  return whole;
}

function all(length = 0): number[] {
  return Array.from({ length }, (_, i) => i);
}
