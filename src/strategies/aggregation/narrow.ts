/** Cuts an adapter to the rank and the structure of one device, and says to which rows and columns a device's factors belong. */
import type { AdapterState, LoraModule, Owned } from "../../base/adapter.ts";
import { type HostArray, hostArray, shapeText, takeCols, takeRows } from "../../base/arrays.ts";
import { RoundError } from "../../base/errors.ts";
import { type LinearShape, type ModelShape, ownedOf } from "../../base/model-shape.ts";
import type { Structure } from "../../base/structure.ts";
import { type Defect, rankOf } from "./update-check.ts";

export interface Narrowing {
  /** How many directions each module keeps, counted from the first; absent = all. */
  readonly rank?: number;
  /** What is left of the device's model; absent = everything. */
  readonly pruned?: { readonly shape: ModelShape; readonly structure: Structure };
}

/**
 * The first `rank` directions of each module of an unpruned adapter, sliced to the rows and columns that the structure leaves.
 * Modules that lose nothing are shared with `state`, not copied. Throws RoundError for a module that has fewer directions or is
 * no layer of the model.
 */
export function narrow(state: AdapterState, { rank, pruned }: Narrowing): AdapterState {
  const modules = state.modules.map((module) => {
    const cut = rank === undefined ? module : firstDirections(module, rank);
    if (pruned === undefined) return cut;
    const linear = pruned.shape.linears.find(({ name }) => name === module.name);
    if (linear === undefined)
      throw new RoundError(`${module.name} is no layer of the model's blocks`);
    return slice(cut, partOf(linear, pruned.structure));
  });
  return { modules, heads: state.heads };
}

/**
 * The adapter with the ownership that follows from the structure; or the first shape that does not fit it. Finite values, equal
 * layers and heads are for `defectOf` and `mismatchOf` to check.
 */
export function withOwnership(
  state: AdapterState,
  shape: ModelShape,
  structure: Structure,
): { readonly state: AdapterState } | { readonly defect: Defect } {
  const linears = new Map(shape.linears.map((linear) => [linear.name, linear]));
  const modules: LoraModule[] = [];
  for (const { name, a, b, scale } of state.modules) {
    const linear = linears.get(name);
    if (linear === undefined)
      return { defect: { reason: "wrong-layers", text: `${name} is no layer of the blocks` } };
    const { rows, cols } = partOf(linear, structure);
    const R = a.shape[0] ?? 0;
    const expected = {
      a: [R, cols?.indices.length ?? linear.inputs],
      b: [rows?.indices.length ?? linear.outputs, R],
    };
    if (R === 0 || !hasShape(a, expected.a) || !hasShape(b, expected.b)) {
      const text = `${name} has A ${shapeText(a.shape)} and B ${shapeText(b.shape)}, not ${shapeText(expected.a)} and ${shapeText(expected.b)}`;
      return { defect: { reason: "wrong-shape", text } };
    }
    modules.push({ name, a, b, scale, ...given({ rows, cols }) });
  }
  return { state: { modules, heads: state.heads } };
}

interface Part {
  readonly rows: Owned | undefined;
  readonly cols: Owned | undefined;
}

/** What `ownedOf` says, without the sides that are whole. */
function partOf(linear: LinearShape, structure: Structure): Part {
  const { rows, cols } = ownedOf(linear, structure);
  const lost = (owned: Owned | undefined): Owned | undefined =>
    owned === undefined || owned.indices.length === owned.of ? undefined : owned;
  return { rows: lost(rows), cols: lost(cols) };
}

function firstDirections(module: LoraModule, rank: number): LoraModule {
  const R = rankOf(module);
  if (R < rank) {
    throw new RoundError(`${module.name} cannot be cut to a larger rank`, {
      expected: `at most ${R}`,
      got: String(rank),
    });
  }
  if (R === rank) return module;
  const { a, b } = module;
  const [inputs, outputs] = [a.shape[1] ?? 0, b.shape[0] ?? 0];
  const cut = hostArray([outputs, rank]);
  for (let o = 0; o < outputs; o++) cut.data.set(b.data.subarray(o * R, o * R + rank), o * rank);
  return { ...module, a: hostArray([rank, inputs], a.data.slice(0, rank * inputs)), b: cut };
}

function slice(module: LoraModule, { rows, cols }: Part): LoraModule {
  if (rows === undefined && cols === undefined) return module;
  if (module.rows !== undefined || module.cols !== undefined)
    throw new RoundError(`${module.name} is sliced already`, { expected: "an unpruned layer" });
  const a = cols === undefined ? module.a : takeCols(module.a, cols.indices);
  const b = rows === undefined ? module.b : takeRows(module.b, rows.indices);
  return { ...module, a, b, ...given({ rows, cols }) };
}

function hasShape({ shape }: HostArray, expected: readonly number[]): boolean {
  return shape.length === 2 && shape[0] === expected[0] && shape[1] === expected[1];
}

/** Leaves out what is undefined: an optional property is there with a value or not at all. */
function given({ rows, cols }: Part): Pick<LoraModule, "rows" | "cols"> {
  return { ...(rows === undefined ? {} : { rows }), ...(cols === undefined ? {} : { cols }) };
}
