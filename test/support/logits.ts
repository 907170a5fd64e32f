/** Logits of sequences, whatever the model is for. */
import { Tape } from "../../src/autograd/tape.ts";
import { packBatch, type Sequence } from "../../src/data/batch.ts";
import type { Model } from "../../src/models/model.ts";

/** Per sequence, run as one packed batch: label logits, or vocabulary logits of its last token. */
export function lastLogits(model: Model, sequences: readonly Sequence[]): Float32Array[] {
  return model.engine.step(() => {
    const tape = new Tape(model.engine, { recording: false });
    const batch = packBatch(sequences);
    const lastRows = batch.offsets.subarray(1).map((end) => end - 1);
    const logits =
      model.task === "classify"
        ? model.classLogits(tape, batch)
        : model.tokenLogits(tape, batch, lastRows);
    const values = logits.toHost();
    return sequences.map((_, b) => values.slice(b * logits.cols, (b + 1) * logits.cols));
  });
}

/** Mean of each sequence's own loss is not the batch's: this is the loss of the batch as trained. */
export function batchLoss(model: Model, sequences: readonly Sequence[]): number {
  return model.engine.step(() => {
    const tape = new Tape(model.engine, { recording: false });
    const batch = packBatch(sequences);
    const targets =
      model.task === "classify"
        ? ({ kind: "classes", labels: batch.labels } as const)
        : ({ kind: "next-token" } as const);
    return model.loss(tape, batch, targets).f32[0] as number;
  });
}
