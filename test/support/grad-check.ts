/** Central differences against the tape, for any computation of tensors. */
import assert from "node:assert/strict";
import { Tape } from "../../src/autograd/tape.ts";
import { sizeOf } from "../../src/base/arrays.ts";
import { Rng } from "../../src/base/rng.ts";
import { Engine } from "../../src/tensor/engine.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

export interface GradCheck {
  /** Shapes of the differentiable inputs. */
  readonly shapes: readonly (readonly number[])[];
  /** The computation under test; called many times, it must be a function of the inputs alone. */
  compute(tape: Tape, inputs: readonly Tensor[]): Tensor;
  /** Standard deviation of the inputs. */
  readonly std?: number;
  /** Inputs closer to a kink than this are moved away from zero (ReLU). */
  readonly kinkMargin?: number;
  readonly makeTape?: (engine: Engine) => Tape;
  readonly seed?: number;
}

/** Float32 losses of size 1 carry errors near 1e-7; divided by 2 · STEP that leaves about 1e-5. */
const STEP = 1e-2;
/** Relative to the largest gradient of the input; covers the cut-off error of order STEP². */
const TOLERANCE = 3e-3;

/** Fails when any partial derivative differs from its central difference. */
export function checkGradients(check: GradCheck): void {
  const engine = Engine.create();
  const rng = Rng.fromSeed(check.seed ?? 1);
  const inputs = check.shapes.map((shape) => {
    const tensor = engine.empty(shape, "state");
    const view = tensor.f32;
    for (let i = 0; i < view.length; i++) {
      const value = (check.std ?? 1) * rng.normal();
      const margin = check.kinkMargin ?? 0;
      view[i] = Math.abs(value) < margin ? margin * 2 : value;
    }
    tensor.requiresGrad = true;
    return tensor;
  });
  const makeTape = check.makeTape ?? ((e: Engine) => new Tape(e));
  let weights: Float32Array | undefined;

  const run = (): { loss: number; gradients: (Float32Array | undefined)[] } =>
    engine.step(() => {
      const tape = makeTape(engine);
      const out = check.compute(tape, inputs);
      weights ??= Float32Array.from({ length: out.size }, () => rng.normal() / Math.sqrt(out.size));
      const loss = weightedSum(tape, out, weights);
      tape.backward(loss);
      // The loss is summed in double precision here: only the kernels' own rounding is left.
      const view = out.f32;
      const exact = view.reduce((sum, value, i) => sum + value * (weights?.[i] ?? 0), 0);
      return { loss: exact, gradients: inputs.map((input) => tape.gradient(input)?.toHost()) };
    });

  const { gradients } = run();
  inputs.forEach((input, k) => {
    const gradient = gradients[k] ?? new Float32Array(sizeOf(input.shape));
    const largest = Math.max(1e-3, ...gradient.map(Math.abs));
    for (let i = 0; i < input.size; i++) {
      const value = input.f32[i] as number;
      input.f32[i] = value + STEP;
      const above = run().loss;
      input.f32[i] = value - STEP;
      const below = run().loss;
      input.f32[i] = value;
      const numeric = (above - below) / (2 * STEP);
      assert.ok(
        Math.abs(numeric - (gradient[i] as number)) <= TOLERANCE * largest,
        `input ${k} element ${i}: tape ${gradient[i]}, differences ${numeric}, largest ${largest}`,
      );
    }
  });
}

/** Sum of x · weights as a recorded operation, so that every output element has its own gradient. */
export function weightedSum(tape: Tape, x: Tensor, weights: Float32Array): Tensor {
  const { engine } = tape;
  const factors = engine.fromHost({ shape: x.shape, data: weights });
  const out = engine.empty([1]);
  out.f32[0] = engine.kernels.dotF32(x.ptr, factors.ptr, x.size);
  tape.record(out, [x], (dOut) => {
    const dX = engine.empty(x.shape);
    engine.kernels.scaleF32(dX.ptr, factors.ptr, dOut.f32[0] as number, x.size);
    return [dX];
  });
  return out;
}
