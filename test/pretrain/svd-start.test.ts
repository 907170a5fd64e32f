/** The embedding start: counts and information by hand, the SVD against an exact one, sense of neighbours. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { ShapeError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import type { Corpus } from "../../src/pretrain/corpus.ts";
import {
  countNeighbours,
  positiveMutualInformation,
  type SparseRows,
} from "../../src/pretrain/cooccurrence.ts";
import {
  nearestRows,
  randomisedSvd,
  svdStart,
  svdStartDefaults,
} from "../../src/pretrain/svd-start.ts";

function corpusOf(...documents: number[][]): Corpus {
  let start = 0;
  return {
    ids: Uint16Array.from(documents.flat()),
    documents: documents.map((ids, i) => {
      start += ids.length;
      return { name: String(i), start: start - ids.length, length: ids.length };
    }),
  };
}

function dense(matrix: SparseRows): number[][] {
  return Array.from({ length: matrix.size }, (_, row) => {
    const out = new Array<number>(matrix.size).fill(0);
    for (let i = matrix.rowStarts[row] as number; i < (matrix.rowStarts[row + 1] as number); i++) {
      out[matrix.columns[i] as number] = matrix.values[i] as number;
    }
    return out;
  });
}

test("neighbours count one over their distance, up to the reach, within a document", () => {
  const counts = dense(countNeighbours(corpusOf([0, 1, 2, 3], [3, 0]), 4, 2));
  assert.deepEqual(counts, [
    [0, 1, 0.5, 1],
    [1, 0, 1, 0.5],
    [0.5, 1, 0, 1],
    [1, 0.5, 1, 0],
  ]);
});

test("counting in blocks of rows loses nothing in a large vocabulary", () => {
  const counts = countNeighbours(corpusOf([5, 2999, 1023, 1024, 5]), 3000, 1);
  const cells = [5, 1023, 1024, 2999].map((row) => {
    const [from, to] = [counts.rowStarts[row] as number, counts.rowStarts[row + 1] as number];
    return [...counts.columns.subarray(from, to)];
  });
  assert.deepEqual(cells, [
    [1024, 2999],
    [1024, 2999],
    [5, 1023],
    [5, 1023],
  ]);
  assert.equal(counts.values.length, 8);
});

test("mutual information is the log ratio of the definition, and only where positive", () => {
  const counts = countNeighbours(corpusOf([0, 1, 0, 1, 2, 3, 2, 3, 0]), 4, 1);
  const n = dense(counts);
  const rowSum = n.map((row) => row.reduce((sum, value) => sum + value, 0));
  const total = rowSum.reduce((sum, value) => sum + value, 0);
  const smoothed = rowSum.map((sum) => sum ** 0.75);
  const smoothedTotal = smoothed.reduce((sum, value) => sum + value, 0);
  const information = dense(positiveMutualInformation(counts, 0.75));
  for (let w = 0; w < 4; w++) {
    for (let c = 0; c < 4; c++) {
      const joint = (n[w]?.[c] as number) / total;
      const independent =
        ((rowSum[w] as number) / total) * ((smoothed[c] as number) / smoothedTotal);
      const expected = joint === 0 ? 0 : Math.max(0, Math.log(joint / independent));
      assert.ok(Math.abs((information[w]?.[c] as number) - expected) < 1e-6);
    }
  }
});

/** A matrix with falling singular values, as sparse rows without gaps. */
function fallingMatrix(size: number, rng: Rng): SparseRows {
  const values = new Float32Array(size * size);
  for (let k = 0; k < size; k++) {
    const u = Array.from({ length: size }, () => rng.normal());
    const v = Array.from({ length: size }, () => rng.normal());
    for (let i = 0; i < values.length; i++) {
      const [row, column] = [Math.floor(i / size), i % size];
      values[i] = (values[i] as number) + 0.6 ** k * (u[row] as number) * (v[column] as number);
    }
  }
  return {
    size,
    rowStarts: Float64Array.from({ length: size + 1 }, (_, row) => row * size),
    columns: Int32Array.from(values, (_, i) => i % size),
    values,
  };
}

test("the randomised SVD finds the leading singular values and vectors of an exact one", () => {
  const matrix = fallingMatrix(40, Rng.fromSeed("svd"));
  const exact = new SingularValueDecomposition(new Matrix(dense(matrix)));
  const { left, singular } = randomisedSvd(matrix, 6, Rng.fromSeed("probe"));
  for (let k = 0; k < 6; k++) {
    const expected = exact.diagonal[k] as number;
    assert.ok(Math.abs((singular[k] as number) - expected) < 1e-6 * expected);
    const cosine = left.getColumnVector(k).dot(exact.leftSingularVectors.getColumnVector(k));
    assert.ok(Math.abs(Math.abs(cosine) - 1) < 1e-6);
  }
});

test("a rank beyond the matrix is refused", () => {
  assert.throws(
    () => randomisedSvd(fallingMatrix(8, Rng.fromSeed(1)), 4, Rng.fromSeed(1)),
    ShapeError,
  );
});

/** Sentences of three words; in each family four subjects stand before the same ten verbs. */
function twoFamilies(rng: Rng): number[] {
  const ids: number[] = [];
  for (let i = 0; i < 4000; i++) {
    const family = rng.int(2) * 20;
    ids.push(family + rng.int(4), family + 10 + rng.int(10), 40 + rng.int(10));
  }
  return ids;
}

test("words that occur in the same company become neighbours; rows have the init scale", () => {
  const corpus = corpusOf(twoFamilies(Rng.fromSeed("families")));
  const options = { ...svdStartDefaults, vocabSize: 60, width: 8, reach: 1 };
  const embedding = svdStart(corpus, options, Rng.fromSeed("start"));
  assert.deepEqual(embedding.shape, [60, 8]);
  for (const word of [0, 1, 2, 3]) {
    const others = nearestRows(embedding, word, 3).sort((a, b) => a - b);
    assert.deepEqual(
      others,
      [0, 1, 2, 3].filter((other) => other !== word),
    );
  }
  for (let row = 0; row < 60; row++) {
    const norm = Math.hypot(...embedding.data.subarray(row * 8, row * 8 + 8));
    assert.ok(Math.abs(norm - Math.sqrt(8) * 0.02) < 1e-6, `row ${row}`);
  }
  assert.deepEqual(svdStart(corpus, options, Rng.fromSeed("start")), embedding);
});
