/** Reverse-mode differentiation: records what ran, walks back, adds up; knows no operation by name. */
import { ShapeError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { Engine } from "../tensor/engine.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** What one operation leaves behind so that gradients can pass through it. */
interface Node {
  readonly output: Tensor;
  readonly inputs: readonly (Tensor | null)[];
  readonly backward: (dOut: Tensor, wanted: readonly boolean[]) => readonly (Tensor | null)[];
}

export interface TapeOptions {
  /** Record for a backward pass (default), or run forward only. */
  readonly recording?: boolean;
  /** Source of dropout masks; without it dropout is off. */
  readonly rng?: Rng | undefined;
}

export class Tape {
  readonly engine: Engine;
  readonly recording: boolean;
  readonly rng: Rng | undefined;
  readonly #nodes: Node[] = [];
  readonly #tracked = new Set<Tensor>();
  readonly #gradients = new Map<Tensor, { tensor: Tensor; owned: boolean }>();

  constructor(engine: Engine, options: TapeOptions = {}) {
    this.engine = engine;
    this.recording = options.recording ?? true;
    this.rng = options.rng;
  }

  /** Whether a gradient with respect to the tensor can be asked for. */
  tracks(tensor: Tensor | null): boolean {
    return tensor !== null && (tensor.requiresGrad || this.#tracked.has(tensor));
  }

  record(
    output: Tensor,
    inputs: readonly (Tensor | null)[],
    backward: (dOut: Tensor, wanted: readonly boolean[]) => readonly (Tensor | null)[],
  ): void {
    if (!this.recording || !inputs.some((input) => this.tracks(input))) return;
    this.#nodes.push({ output, inputs, backward });
    this.#tracked.add(output);
  }

  /** Back-propagates `scale` times the gradient of `loss`, a tensor of one element. */
  backward(loss: Tensor, scale = 1): void {
    if (loss.size !== 1) {
      throw new ShapeError("backward", { expected: "a loss of one element", got: `${loss.size}` });
    }
    const seed = this.engine.empty([1]);
    seed.f32[0] = scale;
    this.#accumulate(loss, seed, false);
    for (let i = this.#nodes.length - 1; i >= 0; i--) {
      const node = this.#nodes[i] as Node;
      const dOut = this.#gradients.get(node.output)?.tensor;
      if (dOut === undefined) continue;
      const wanted = node.inputs.map((input) => this.tracks(input));
      const results = node.backward(dOut, wanted);
      node.inputs.forEach((input, k) => {
        const result = results[k] ?? null;
        if (input === null || result === null || wanted[k] !== true) return;
        const isShared = results.some((other, j) => j !== k && other?.ptr === result.ptr);
        this.#accumulate(input, result, result.ptr !== dOut.ptr && !isShared);
      });
    }
  }

  /** The gradient with respect to a leaf or recorded tensor after {@link backward}, if any reached it. */
  gradient(tensor: Tensor): Tensor | undefined {
    return this.#gradients.get(tensor)?.tensor;
  }

  #accumulate(target: Tensor, gradient: Tensor, owned: boolean): void {
    const existing = this.#gradients.get(target);
    const { kernels } = this.engine;
    if (existing === undefined) {
      this.#gradients.set(target, { tensor: gradient, owned });
    } else if (existing.owned) {
      kernels.axpyF32(existing.tensor.ptr, gradient.ptr, 1, gradient.size);
    } else {
      const sum = this.engine.empty(target.shape);
      kernels.addF32(sum.ptr, existing.tensor.ptr, gradient.ptr, gradient.size);
      this.#gradients.set(target, { tensor: sum, owned: true });
    }
  }
}
