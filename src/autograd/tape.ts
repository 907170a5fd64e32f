/** Reverse-mode differentiation: records what ran, walks back, adds up, and lets go of memory on the way; knows no operation by name. */
import { ShapeError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Engine } from "../tensor/engine.ts";
import { Tensor } from "../tensor/tensor.ts";

/** Gradients for the inputs of an operation, in their order; those that are not wanted may be null. */
export type Backward = (dOut: Tensor, wanted: readonly boolean[]) => readonly (Tensor | null)[];

/** What one operation leaves behind so that gradients can pass through it. */
interface Node {
  readonly output: Tensor;
  readonly inputs: readonly (Tensor | null)[];
  readonly saved: object | null;
  /** null for a computation that is run again. */
  readonly backward: Backward | null;
  readonly rerun: (() => Tensor) | null;
}

export interface TapeOptions {
  /** Record for a backward pass (default), or run forward only. */
  readonly recording?: boolean;
  /** Source of dropout masks; without it dropout is off. */
  readonly rng?: Rng | undefined;
  /** Run layers again in the backward pass instead of keeping what they computed; see layer.ts. */
  readonly recomputes?: boolean;
  /** For a tape that does not record: collects the trained tensors that operations take. */
  readonly leaves?: Set<Tensor>;
  /** Record on this tape, but with the random numbers given here. */
  readonly continues?: Tape;
}

export class Tape {
  readonly engine: Engine;
  readonly recording: boolean;
  readonly rng: Rng | undefined;
  readonly recomputes: boolean;
  readonly #leaves: Set<Tensor> | null;
  readonly #nodes: Node[];
  readonly #tracked: Set<Tensor>;
  readonly #gradients: Map<Tensor, Tensor>;
  // Made once, where a closure for each operation would be garbage.
  readonly #isTracked = (tensor: Tensor | null): boolean => this.tracks(tensor);
  readonly #holdOne = (tensor: Tensor): void => this.#hold(tensor);
  readonly #letGoOne = (tensor: Tensor): void => this.engine.arena.letGo(tensor.ptr);

  constructor(engine: Engine, options: TapeOptions = {}) {
    this.engine = engine;
    this.recording = options.recording ?? true;
    this.rng = options.rng;
    this.recomputes = options.recomputes ?? false;
    this.#leaves = options.leaves ?? null;
    const { continues } = options;
    this.#nodes = continues === undefined ? [] : continues.#nodes;
    this.#tracked = continues === undefined ? new Set<Tensor>() : continues.#tracked;
    this.#gradients = continues === undefined ? new Map<Tensor, Tensor>() : continues.#gradients;
  }

  /** Whether this is a first run of what runs again in the backward pass: observers wait for that. */
  get isRehearsal(): boolean {
    return this.#leaves !== null;
  }

  /** Whether a gradient with respect to the tensor can be asked for. */
  tracks(tensor: Tensor | null): boolean {
    return tensor !== null && (tensor.requiresGrad || this.#tracked.has(tensor));
  }

  /** Whether an operation on these inputs is to be recorded. */
  wants(inputs: readonly (Tensor | null)[]): boolean {
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i] ?? null;
      if (this.recording ? this.tracks(input) : input?.requiresGrad === true) return true;
    }
    return false;
  }

  /** `saved`: what backward reads; the step tensors among its values stay until it has run. */
  record(
    output: Tensor,
    inputs: readonly (Tensor | null)[],
    backward: Backward,
    saved: object | null = null,
  ): void {
    if (!this.wants(inputs)) return;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i] ?? null;
      if (input?.requiresGrad !== true) continue;
      if (!this.recording) this.#leaves?.add(input);
      // Someone outside wants the gradient of a tensor of this step, and will look at its values.
      else this.#hold(input);
    }
    if (this.recording) this.#push({ output, inputs, saved, backward, rerun: null });
  }

  /** Records a computation of `output` that `rerun` does once more, on this tape, when the gradient has arrived. */
  recordRerun(output: Tensor, rerun: () => Tensor, saved: object): void {
    this.#push({ output, inputs: [], saved, backward: null, rerun });
  }

  /** Runs a part of the forward pass; of the step tensors made inside stay the result and what backward needs. */
  scope(action: () => Tensor): Tensor {
    const { arena } = this.engine;
    const mark = arena.mark();
    const out = action();
    arena.sweep(mark, out.ptr);
    return out;
  }

  /**
   * Back-propagates `scale` times the gradient of `loss`, a tensor of one element. A tape goes back once: what its
   * operations saved is gone afterwards.
   */
  backward(loss: Tensor, scale = 1): void {
    if (loss.size !== 1) {
      throw new ShapeError("backward", { expected: "a loss of one element", got: `${loss.size}` });
    }
    const seed = this.engine.empty([1]);
    seed.f32[0] = scale;
    this.#accumulate(loss, seed);
    for (let node = this.#nodes.pop(); node !== undefined; node = this.#nodes.pop()) {
      const dOut = this.#gradients.get(node.output);
      if (dOut !== undefined) this.#runBack(node, dOut);
      this.#forSaved(node.saved, this.#letGoOne);
    }
  }

  /** The gradient with respect to a trained tensor after {@link backward}, if any reached it. */
  gradient(tensor: Tensor): Tensor | undefined {
    return this.#gradients.get(tensor);
  }

  #push(node: Node): void {
    this.#nodes.push(node);
    this.#tracked.add(node.output);
    this.#forSaved(node.saved, this.#holdOne);
  }

  #runBack({ output, inputs, backward, rerun }: Node, dOut: Tensor): void {
    const { arena } = this.engine;
    const mark = arena.mark();
    // Who watches the result wants its gradient as it is: a second hold keeps operations from overwriting it.
    if (output.requiresGrad) this.#hold(dOut);
    if (backward !== null) {
      const wanted = inputs.map(this.#isTracked);
      const results = backward(dOut, wanted);
      for (let i = 0; i < inputs.length; i++) {
        const input = inputs[i] ?? null;
        const result = results[i] ?? null;
        if (input !== null && result !== null && wanted[i] === true) {
          this.#accumulate(input, result);
        }
      }
    } else if (rerun !== null) {
      // Its operations are the last on the tape now, and next to be run back.
      this.#accumulate(rerun(), dOut);
    }
    arena.sweep(mark);
    if (output.requiresGrad) return;
    this.#gradients.delete(output);
    arena.letGo(dOut.ptr);
  }

  #accumulate(target: Tensor, gradient: Tensor): void {
    const { kernels, arena } = this.engine;
    const existing = this.#gradients.get(target);
    if (existing === undefined) {
      this.#hold(gradient);
      this.#gradients.set(target, gradient);
    } else if (arena.holdsOf(existing.ptr) === 1) {
      kernels.axpyF32(existing.ptr, gradient.ptr, 1, gradient.size);
    } else {
      // Others hold these values: another tensor has the same gradient.
      const sum = this.engine.empty(target.shape);
      kernels.addF32(sum.ptr, existing.ptr, gradient.ptr, gradient.size);
      this.#hold(sum);
      this.#gradients.set(target, sum);
      arena.letGo(existing.ptr);
    }
  }

  #hold(tensor: Tensor): void {
    if (tensor.region === "step") this.engine.arena.hold(tensor.ptr);
  }

  #forSaved(saved: object | null, action: (tensor: Tensor) => void): void {
    for (const name in saved) {
      const value: unknown = (saved as Record<string, unknown>)[name];
      if (value instanceof Tensor && value.region === "step") action(value);
    }
  }
}
