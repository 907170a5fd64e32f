/** What a device starts a round from: the received adapter, the structure it is cut to, and the fleet's scores. */
import type { LoraModule } from "../../base/adapter.ts";
import {
  shapeText,
  takeCols,
  takeRows,
  type HostArray,
  type NamedArrays,
} from "../../base/arrays.ts";
import { CheckpointError } from "../../base/errors.ts";
import { ownedOf, type LinearShape, type ModelShape } from "../../base/model-shape.ts";
import {
  decodeStructure,
  fullStructure,
  scoreTensors,
  unitKinds,
  type Structure,
  type UnitKind,
} from "../../base/structure.ts";
import { decodeAdapterFile } from "../../io/adapter-file.ts";
import { scoresOf, type UnitScores } from "../../pruning/unit-scores.ts";

export interface StartingPoint {
  readonly structure: Structure;
  /** null for fresh factors. */
  readonly adapter: {
    readonly modules: readonly LoraModule[];
    readonly heads: NamedArrays;
  } | null;
  /** The fleet's mean scores by original id; null for none. */
  readonly fleetScores: UnitScores | null;
}

/**
 * Reads what the coordinator sent; null is a start from nothing. Throws CheckpointError for damaged bytes, another
 * scale than `scale`, and factors or scores that do not fit the model; ConfigError for a structure of another one.
 */
export function readStart(
  bytes: Uint8Array | null,
  shape: ModelShape,
  scale: number,
): StartingPoint {
  const whole = fullStructure(shape.units);
  if (bytes === null) return { structure: whole, adapter: null, fleetScores: null };
  const content = decodeAdapterFile(bytes, "adapter", scale);
  const { structureText, modules, heads, scores } = content;
  const structure =
    structureText === null ? whole : decodeStructure(structureText, shape.units, "adapter");
  checkModules(modules, shape, structure);
  return {
    structure,
    adapter: { modules, heads },
    fleetScores: scoresFrom(scores, shape),
  };
}

/** The modules of an adapter that has the units `before`, cut to those of `structure`, which are among them. */
export function cutModules(
  modules: readonly LoraModule[],
  shape: ModelShape,
  { before, structure }: { readonly before: Structure; readonly structure: Structure },
): LoraModule[] {
  const linears = new Map(shape.linears.map((linear) => [linear.name, linear]));
  return modules.map((module): LoraModule => {
    const linear = linears.get(module.name) as LinearShape;
    const [was, is] = [ownedOf(linear, before), ownedOf(linear, structure)];
    const positions = (side: "rows" | "cols"): number[] | undefined => {
      const at = new Map(was[side]?.indices.map((index, position) => [index, position]));
      return is[side]?.indices.map((index) => at.get(index) ?? -1);
    };
    const [rows, cols] = [positions("rows"), positions("cols")];
    return {
      ...module,
      a: cols === undefined ? module.a : takeCols(module.a, cols),
      b: rows === undefined ? module.b : takeRows(module.b, rows),
    };
  });
}

/** Modules of any rank whose shapes are those that the structure leaves. */
function checkModules(
  modules: readonly LoraModule[],
  shape: ModelShape,
  structure: Structure,
): void {
  const linears = new Map(shape.linears.map((linear) => [linear.name, linear]));
  for (const { name, a, b } of modules) {
    const linear = linears.get(name);
    if (linear === undefined) {
      throw new CheckpointError(`adapter: ${name.slice(0, 100)} is no layer of the model`);
    }
    const { rows, cols } = ownedOf(linear, structure);
    const rank = a.shape[0] ?? 0;
    const expected = [
      [rank, cols?.indices.length ?? linear.inputs],
      [rows?.indices.length ?? linear.outputs, rank],
    ].map(shapeText);
    const got = [a.shape, b.shape].map(shapeText);
    if (got.join() === expected.join()) continue;
    throw new CheckpointError(`adapter: factors of ${name}`, {
      expected: expected.join(" and "),
      got: got.join(" and "),
    });
  }
}

/** Scores of units by original id from tensors [L, units]; null for none. Throws CheckpointError for misshapen ones. */
export function scoresFrom(scores: NamedArrays, { units }: ModelShape): UnitScores | null {
  const tensors = unitKinds.map((kind) => scores.get(scoreTensors[kind]));
  if (tensors.every((tensor) => tensor === undefined)) return null;
  for (const kind of unitKinds) checkScores(scores.get(scoreTensors[kind]), kind);
  return scoresOf(
    units,
    (layer, kind, id) => scores.get(scoreTensors[kind])?.data[layer * units[kind] + id] ?? 0,
  );

  function checkScores(tensor: HostArray | undefined, kind: UnitKind): void {
    const isRight = tensor?.shape[0] === units.layers && tensor.shape[1] === units[kind];
    if (isRight && tensor.data.every((value) => value >= 0 && value < Infinity)) return;
    throw new CheckpointError(`adapter: ${scoreTensors[kind]}`, {
      expected: `finite numbers from 0, [${units.layers}, ${units[kind]}]`,
      got: tensor === undefined ? "nothing of that name" : `[${tensor.shape.join(", ")}]`,
    });
  }
}
