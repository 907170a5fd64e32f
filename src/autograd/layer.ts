/** A layer as the unit of memory: what it computes on the way is kept for the backward pass, or computed again there. */
import { Rng } from "../base/rng.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Tape } from "./tape.ts";

/** Part of a forward pass from one tensor to one; it may run twice and must then compute the same. */
export type Layer = (tape: Tape, x: Tensor) => Tensor;

/**
 * Runs a layer and gives its input up: `x` and all that the layer makes stay only as long as the backward pass needs
 * them. A tape that recomputes keeps nothing but `x` and runs the layer again when the gradient arrives
 * (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"): the same bits for one more forward pass.
 */
export function runLayer(tape: Tape, x: Tensor, layer: Layer): Tensor {
  const out =
    tape.recording && tape.recomputes ? rehearse(tape, x, layer) : tape.scope(() => layer(tape, x));
  if (x !== out && x.region === "step") tape.engine.arena.leave(x.ptr);
  return out;
}

function rehearse(tape: Tape, x: Tensor, layer: Layer): Tensor {
  const { engine, rng } = tape;
  // Dropout draws from the tape's random numbers: the second run begins where the first began.
  const rngState = rng?.state;
  const leaves = new Set<Tensor>();
  const first = new Tape(engine, { recording: false, rng, leaves });
  const out = tape.scope(() => layer(first, x));
  const rerun = (): Tensor => {
    const again = rngState && Rng.fromState(rngState);
    return layer(new Tape(engine, { rng: again, continues: tape }), x);
  };
  if (tape.tracks(x) || leaves.size > 0) tape.recordRerun(out, rerun, { x });
  return out;
}
