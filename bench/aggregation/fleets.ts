/** Synthetic fleets: adapters of many devices whose factors are related as in the rounds of a run, and in ways that trap a rule. */
import type { LoraModule } from "../../src/base/adapter.ts";
import { hostArray } from "../../src/base/arrays.ts";
import { Rng } from "../../src/base/rng.ts";
import { dense, timesTransposed, transposed } from "../../src/strategies/aggregation/dense.ts";
import type { AdapterUpdate } from "../../src/strategies/aggregation/aggregator.ts";

interface LayerSize {
  readonly name: string;
  readonly outputs: number;
  readonly inputs: number;
}

/** All linear layers of `numBlocks` blocks of width C and inner width F. */
export function blockLayers(numBlocks: number, C: number, F: number): LayerSize[] {
  return Array.from({ length: numBlocks }, (_, i) => [
    ...["query", "key", "value", "out"].map((name) => ({
      name: `blocks.${i}.${name}`,
      outputs: C,
      inputs: C,
    })),
    { name: `blocks.${i}.up`, outputs: F, inputs: C },
    { name: `blocks.${i}.down`, outputs: C, inputs: F },
  ]).flat();
}

/** What a device's factors of one layer are made of. */
interface Start {
  readonly a: Float64Array;
  readonly b: Float64Array;
}

export interface FleetKind {
  readonly what: string;
  /** How far each device's A and B are from those that all started from, in the size of their entries; Infinity = nothing shared. */
  readonly driftA: number;
  readonly driftB: number;
  /** Each device turns its factors by a rotation of its own, which leaves its product as it is. */
  readonly isTurned: boolean;
}

export const fleetKinds: readonly FleetKind[] = [
  { what: "nothing shared", driftA: Infinity, driftB: Infinity, isTurned: false },
  { what: "first round: one A, B from zero", driftA: 0.1, driftB: Infinity, isTurned: false },
  { what: "shared start, drift 1.0", driftA: 1, driftB: 1, isTurned: false },
  { what: "shared start, drift 0.3", driftA: 0.3, driftB: 0.3, isTurned: false },
  { what: "shared start, drift 0.1", driftA: 0.1, driftB: 0.1, isTurned: false },
  { what: "the same, factors turned", driftA: 0.1, driftB: 0.1, isTurned: true },
];

/** One update per entry of `ranks`; devices of smaller ranks started from the first directions. */
export function syntheticFleet(
  seed: string,
  layers: readonly LayerSize[],
  ranks: readonly number[],
  kind: FleetKind,
): AdapterUpdate[] {
  const rng = Rng.fromSeed(seed);
  const largest = Math.max(...ranks);
  const starts = layers.map(({ outputs, inputs }): Start => ({
    a: normals(rng, largest * inputs),
    b: normals(rng, outputs * largest),
  }));
  return ranks.map((rank, i) => ({
    deviceId: `device-${i}`,
    numSamples: 100,
    heads: new Map(),
    modules: layers.map((layer, l) => moduleOf(rng, layer, starts[l] as Start, rank, kind)),
  }));
}

function moduleOf(
  rng: Rng,
  { name, outputs, inputs }: LayerSize,
  start: Start,
  rank: number,
  { driftA, driftB, isTurned }: FleetKind,
): LoraModule {
  const largest = start.b.length / outputs;
  const a = drifted(rng, start.a.slice(0, rank * inputs), driftA);
  const firsts = start.b.filter((_, at) => at % largest < rank);
  const b = drifted(rng, firsts, driftB);
  const turn = isTurned ? rotation(rng, rank) : null;
  const turnedA =
    turn === null ? a : timesTransposed(turn, transposed(dense(rank, inputs, a))).data;
  const turnedB = turn === null ? b : timesTransposed(dense(outputs, rank, b), turn).data;
  return {
    name,
    a: hostArray([rank, inputs], Float32Array.from(turnedA)),
    b: hostArray([outputs, rank], Float32Array.from(turnedB)),
    scale: 2,
  };
}

function drifted(rng: Rng, start: Float64Array, drift: number): Float64Array {
  if (drift === Infinity) return normals(rng, start.length);
  return start.map((value) => value + drift * rng.normal());
}

function normals(rng: Rng, length: number): Float64Array {
  return Float64Array.from({ length }, () => rng.normal());
}

/** A random orthogonal [R, R], by Gram-Schmidt on normal rows. */
function rotation(rng: Rng, size: number): ReturnType<typeof dense> {
  const m = dense(size, size, normals(rng, size * size));
  for (let r = 0; r < size; r++) {
    const row = m.data.subarray(r * size, (r + 1) * size);
    for (let s = 0; s < r; s++) {
      const other = m.data.subarray(s * size, (s + 1) * size);
      const along = row.reduce((sum, value, i) => sum + value * (other[i] as number), 0);
      row.forEach((value, i) => (row[i] = value - along * (other[i] as number)));
    }
    const length = Math.hypot(...row);
    row.forEach((value, i) => (row[i] = value / length));
  }
  return m;
}
