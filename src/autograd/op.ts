/** The shape of an operation: forward and backward side by side, and how the tape learns of it. */
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Tape } from "./tape.ts";

export interface OpDefinition<Args extends unknown[], Saved extends object | null> {
  /** The differentiable arguments, in the order of the gradients that backward returns. */
  inputs(...args: Args): readonly (Tensor | null)[];
  /**
   * Computes the result in the step region. `saved` is handed to backward as it is: step tensors that are values of its own
   * fields stay until then, every other tensor that forward makes is gone when it returns. Save no tensor that
   * backward does not read.
   */
  forward(tape: Tape, ...args: Args): { out: Tensor; saved: Saved };
  /**
   * Gradients for the inputs; entries that are not wanted may be null. Never writes to dOut, but through
   * {@link overGradient}. Tensors that it makes and does not return are gone when it returns.
   */
  backward(
    engine: Engine,
    saved: Saved,
    dOut: Tensor,
    wanted: readonly boolean[],
  ): readonly (Tensor | null)[];
}

/**
 * Where an element-wise backward may put its one gradient: dOut itself where nobody else needs that, else a new tensor.
 * The kernel must read each element before it writes it.
 */
export function overGradient(engine: Engine, dOut: Tensor): Tensor {
  const isOwn = dOut.region === "step" && engine.arena.holdsOf(dOut.ptr) === 1;
  return isOwn ? dOut : engine.empty(dOut.shape);
}

/** Makes a callable operation out of its definition. */
export function defineOp<Args extends unknown[], Saved extends object | null>(
  definition: OpDefinition<Args, Saved>,
): (tape: Tape, ...args: Args) => Tensor {
  return (tape, ...args) => {
    const { arena } = tape.engine;
    const mark = arena.mark();
    const { out, saved } = definition.forward(tape, ...args);
    const inputs = definition.inputs(...args);
    // An operation that is switched off returns its input: there is nothing to record.
    if (!inputs.includes(out) && tape.wants(inputs)) {
      tape.record(
        out,
        inputs,
        (dOut, wanted) => definition.backward(tape.engine, saved, dOut, wanted),
        saved,
      );
    }
    arena.sweep(mark, out.ptr);
    return out;
  };
}
