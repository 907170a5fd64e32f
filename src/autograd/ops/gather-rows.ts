/** Rows of a table by index: embeddings, the first or last token of a sequence, the masked positions. */
import { ShapeError } from "../../base/errors.ts";
import { gatherStored, isStored } from "../../tensor/storage/storages.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { defineOp } from "../op.ts";

/** table [V, C], ids of length M -> [M, C]. Throws ShapeError for an id outside [0, V). */
export const gatherRows = defineOp({
  inputs: (table: Tensor, _ids: ArrayLike<number>) => [table],
  forward({ engine }, table: Tensor, ids: ArrayLike<number>) {
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] as number;
      if (!(id >= 0 && id < table.rows)) {
        throw new ShapeError("gather rows: index out of range", {
          expected: `0 to ${table.rows - 1}`,
          got: `${id} at position ${i}`,
          hint: "does the tokenizer belong to this model?",
        });
      }
    }
    const index = engine.integers(ids);
    const out = engine.empty([ids.length, table.cols]);
    if (isStored(table)) {
      gatherStored(engine, table, ids, out.ptr);
      return { out, saved: { index, table } };
    }
    engine.kernels.gatherRowsF32(out.ptr, table.ptr, index.ptr, ids.length, table.cols);
    return { out, saved: { index, table } };
  },
  backward(engine, { index, table }, dOut) {
    const dTable = engine.zeros(table.shape);
    engine.kernels.scatterAddRowsF32(dTable.ptr, dOut.ptr, index.ptr, dOut.rows, table.cols);
    return [dTable];
  },
});
