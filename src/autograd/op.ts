/** The shape of an operation: forward and backward side by side, and how the tape learns of it. */
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tape } from "./tape.ts";

export interface OpDefinition<Args extends unknown[], Saved> {
  /** The differentiable arguments, in the order of the gradients that backward returns. */
  inputs(...args: Args): readonly (Tensor | null)[];
  /** Computes the result in the step region; `saved` is handed to backward as it is. */
  forward(tape: Tape, ...args: Args): { out: Tensor; saved: Saved };
  /** Gradients for the inputs; entries that are not wanted may be null. Never writes to dOut. */
  backward(
    engine: Engine,
    saved: Saved,
    dOut: Tensor,
    wanted: readonly boolean[],
  ): readonly (Tensor | null)[];
}

/** Makes a callable operation out of its definition. */
export function defineOp<Args extends unknown[], Saved>(
  definition: OpDefinition<Args, Saved>,
): (tape: Tape, ...args: Args) => Tensor {
  return (tape, ...args) => {
    const { out, saved } = definition.forward(tape, ...args);
    const inputs = definition.inputs(...args);
    // An operation that is switched off returns its input: there is nothing to record.
    if (inputs.includes(out)) return out;
    tape.record(out, inputs, (dOut, wanted) =>
      definition.backward(tape.engine, saved, dOut, wanted),
    );
    return out;
  };
}
