/**
 * Error feedback: what a coarse encoding kept an update from saying is added to the device's next one, so that it is late and not lost.
 * Factors mean something else in every round, since the coordinator may turn and reorder directions; what was lost is therefore kept as
 * a product, and goes into the next factors by least squares.
 * Source: error feedback from Seide et al. 2014 and Karimireddy et al. 2019 (arXiv 1901.09847), there for gradients; for products ours.
 */
import type { LoraModule } from "../../base/adapter.ts";
import { hostArray, type HostArray, type NamedArrays } from "../../base/arrays.ts";
import { FedspineError } from "../../base/errors.ts";
import type { ModelShape } from "../../base/model-shape.ts";
import {
  decodeStructure,
  encodeStructure,
  isSubset,
  type Structure,
  type UnitCounts,
} from "../../base/structure.ts";
import { decodeAdapterFile, encodeAdapterFile } from "../../io/adapter-file.ts";
import { cutModules } from "./starting-point.ts";

/** Products and heads that were meant and not sent, for the units of `structure`. */
export interface Residual {
  readonly modules: readonly LoraModule[];
  readonly heads: NamedArrays;
  readonly structure: Structure;
}

/** Factors and heads of one update, all with the units of one structure. */
export type Factors = Pick<Residual, "modules" | "heads">;

/** What `sent` lacks of `meant`: both factors side by side, twice the rank. */
export function residualOf(meant: Factors, sent: Factors, structure: Structure): Residual {
  const others = new Map(sent.modules.map((module) => [module.name, module]));
  const modules = meant.modules.map((module) => lack(module, others.get(module.name) ?? module));
  const heads = combined(meant.heads, sent.heads, -1);
  return { modules, heads, structure };
}

/** The update with the residual of an earlier one in it; one of a structure that this one is not part of is left out. */
export function withResidual(
  update: Factors,
  residual: Residual | null,
  { shape, structure }: { readonly shape: ModelShape; readonly structure: Structure },
): Factors {
  if (residual === null || !isSubset(structure, residual.structure)) return update;
  const cut = cutModules(residual.modules, shape, { before: residual.structure, structure });
  const lost = new Map(cut.map((module) => [module.name, module]));
  const modules = update.modules.map((module) => {
    const rest = lost.get(module.name);
    return rest === undefined ? module : absorbed(module, rest);
  });
  return { modules, heads: combined(update.heads, residual.heads, 1) };
}

/** The bytes of a residual. */
export function encodeResidual({ structure, ...rest }: Residual, counts: UnitCounts): Uint8Array {
  return encodeAdapterFile({ ...rest, structureText: encodeStructure(structure, counts) });
}

/** Reads what {@link encodeResidual} wrote; a damaged one counts as none. */
export function decodeResidual(bytes: Uint8Array | null, counts: UnitCounts): Residual | null {
  if (bytes === null) return null;
  try {
    const { modules, heads, structureText } = decodeAdapterFile(bytes, "residual");
    const structure = decodeStructure(structureText ?? "", counts, "residual");
    return { modules, heads, structure };
  } catch (error) {
    if (error instanceof FedspineError) return null;
    throw error;
  }
}

function lack(meant: LoraModule, sent: LoraModule): LoraModule {
  const [R = 0, inputs = 0] = meant.a.shape;
  const [outputs = 0] = meant.b.shape;
  const a = hostArray([2 * R, inputs]);
  a.data.set(meant.a.data);
  a.data.set(sent.a.data, R * inputs);
  const b = hostArray([outputs, 2 * R]);
  for (let o = 0; o < outputs; o++) {
    for (let r = 0; r < R; r++) {
      b.data[o * 2 * R + r] = meant.b.data[o * R + r] as number;
      b.data[o * 2 * R + R + r] = -(sent.b.data[o * R + r] as number);
    }
  }
  return { ...meant, a, b };
}

/**
 * The module with the lost product E in it as far as its factors can express it: X = E Aᵀ (A Aᵀ)⁻¹ goes into B, and of what X A leaves of E
 * Y = (BᵀB)⁻¹ Bᵀ (E - X A) into A. A rounding error is dB A + B dA + dB dA, so only the last, tiny term is lost.
 */
function absorbed(module: LoraModule, lost: LoraModule): LoraModule {
  const factor = lost.scale / module.scale;
  const [a, b] = [module.a, transposed(module.b)];
  const [lostA, lostB] = [lost.a, transposed(lost.b)];
  for (const value of lostB.data.keys()) lostB.data[value] = factor * (lostB.data[value] as number);
  const x = fitted(a, rowProducts(lostA, a), lostB);
  // Bᵀ (E - X A) = (Bᵀ B') A' - (Bᵀ X) A, as one product of factors side by side.
  const minusX = hostArray(
    x.shape,
    x.data.map((value) => -value),
  );
  const restB = stacked(lostB, minusX);
  const y = fitted(b, rowProducts(restB, b), stacked(lostA, a));
  return { ...module, a: sum(a, y), b: transposed(sum(b, x)) };
}

/** (D Dᵀ)⁻¹ Cᵀ V of the directions D [R, n], their products with others C [K, R], and V [K, m]: [R, m]. */
function fitted(directions: HostArray, cross: Float64Array, values: HostArray): HostArray {
  const [R = 0] = directions.shape;
  const [K = 0, width = 0] = values.shape;
  const root = choleskyOf(rowProducts(directions, directions), R);
  const out = hostArray([R, width]);
  const column = new Float64Array(R);
  for (let i = 0; i < width; i++) {
    column.fill(0);
    for (let k = 0; k < K; k++) {
      const value = values.data[k * width + i] as number;
      for (let r = 0; r < R; r++)
        column[r] = (column[r] as number) + value * (cross[k * R + r] as number);
    }
    solve(root, column);
    for (let r = 0; r < R; r++) out.data[r * width + i] = column[r] as number;
  }
  return out;
}

function transposed({ shape, data }: HostArray): HostArray {
  const [rows = 0, cols = 0] = shape;
  const out = hostArray([cols, rows]);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) out.data[j * rows + i] = data[i * cols + j] as number;
  return out;
}

function stacked(x: HostArray, y: HostArray): HostArray {
  const [rows = 0, width = 0] = x.shape;
  const out = hostArray([rows + (y.shape[0] ?? 0), width]);
  out.data.set(x.data);
  out.data.set(y.data, rows * width);
  return out;
}

function sum(x: HostArray, y: HostArray): HostArray {
  return hostArray(
    x.shape,
    x.data.map((value, i) => value + (y.data[i] as number)),
  );
}

/** x yᵀ of x [M, K] and y [N, K], [M, N]. */
function rowProducts(x: HostArray, y: HostArray): Float64Array {
  const [M = 0, K = 0] = x.shape;
  const [N = 0] = y.shape;
  const out = new Float64Array(M * N);
  for (let i = 0; i < M; i++) {
    for (let j = 0; j < N; j++) {
      let sum = 0;
      for (let k = 0; k < K; k++)
        sum += (x.data[i * K + k] as number) * (y.data[j * K + k] as number);
      out[i * N + j] = sum;
    }
  }
  return out;
}

/** Added to the diagonal, as a share of its mean: directions of A may be nearly parallel. */
const RIDGE = 1e-6;

/** The lower triangle L of L Lᵀ = gram + ridge. */
function choleskyOf(gram: Float64Array, size: number): Float64Array {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i] as number;
  const ridge = Math.max((RIDGE * trace) / size, Number.MIN_VALUE);
  const root = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = (gram[i * size + j] as number) + (i === j ? ridge : 0);
      for (let k = 0; k < j; k++)
        sum -= (root[i * size + k] as number) * (root[j * size + k] as number);
      root[i * size + j] =
        i === j ? Math.sqrt(Math.max(sum, ridge)) : sum / (root[j * size + j] as number);
    }
  }
  return root;
}

/** Solves L Lᵀ x = row in place. */
function solve(root: Float64Array, row: Float64Array): void {
  const size = row.length;
  for (let i = 0; i < size; i++) {
    let sum = row[i] as number;
    for (let k = 0; k < i; k++) sum -= (root[i * size + k] as number) * (row[k] as number);
    row[i] = sum / (root[i * size + i] as number);
  }
  for (let i = size - 1; i >= 0; i--) {
    let sum = row[i] as number;
    for (let k = i + 1; k < size; k++) sum -= (root[k * size + i] as number) * (row[k] as number);
    row[i] = sum / (root[i * size + i] as number);
  }
}

function combined(x: NamedArrays, y: NamedArrays, factor: number): NamedArrays {
  return new Map(
    [...x].map(([name, { shape, data }]) => {
      const other = y.get(name)?.data;
      return [
        name,
        hostArray(
          shape,
          data.map((value, i) => value + factor * (other?.[i] ?? 0)),
        ),
      ];
    }),
  );
}
