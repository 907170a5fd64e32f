/** Runs through a step without computing it, to find the most memory that it holds: the mirror of src/autograd/tape.ts and layer.ts. */
import type { Operation, Value } from "./operations.ts";
import type { LayerPart, StepPart } from "./step.ts";

/** A tensor while it lives. */
interface Block {
  readonly bytes: number;
  holds: number;
  /** Whether it goes with the last hold. */
  isLeft: boolean;
  isFree: boolean;
}

/** What is run back: an operation, or a layer that runs again first. */
type Node = Operation | LayerPart;

/** Rounded up to the arena's cache lines. */
export function lineBytes(bytes: number): number {
  return Math.ceil(Math.max(bytes, 1) / 64) * 64;
}

/** Bytes of a float32 tensor in memory. */
export function tensorBytes(elements: number): number {
  return lineBytes(4 * elements);
}

/** Most bytes of tensors and scratch at any moment of the step. */
export function stepPeakBytes(parts: readonly StepPart[]): number {
  return new Replay().run(parts);
}

class Replay {
  #held = 0;
  #peak = 0;
  readonly #blocks = new Map<Value, Block>();
  readonly #gradients = new Map<Value, Block>();
  readonly #nodes: Node[] = [];

  run(parts: readonly StepPart[]): number {
    let loss: Value | undefined;
    for (const part of parts) {
      if (part.kind === "tensor") this.#blockOf(part.value);
      else if (part.kind === "layer") this.#layer(part);
      else {
        this.#forward(part.operation, true);
        loss = part.operation.out;
      }
    }
    if (loss !== undefined) this.#gradients.set(loss, this.#hold(this.#make(1)));
    for (let node = this.#nodes.pop(); node !== undefined; node = this.#nodes.pop()) {
      if ("kind" in node) this.#runAgain(node);
      else this.#backward(node);
    }
    return this.#peak;
  }

  #layer(layer: LayerPart): void {
    const { x, out, runsAgain } = layer;
    this.#forwardAll(layer, !runsAgain);
    this.#leaveAllOf(layer.operations, out);
    if (runsAgain && x !== null) {
      this.#nodes.push(layer);
      this.#hold(this.#blockOf(x));
    }
    if (x !== null && x !== out) this.#leave(this.#blockOf(x));
  }

  #forward({ out, inputs, saved, forward, backward }: Operation, isRecording: boolean): void {
    const made = saved.filter((value) => value !== out && !this.#blocks.has(value));
    const blocks = [...made, out].map((value) => this.#blockOf(value));
    const passing = forward.passing.map((elements) => this.#make(elements));
    this.#reach(forward.scratchBytes);
    for (const block of passing) this.#leave(block);
    if (isRecording && backward !== null) {
      for (const input of inputs) if (input.isWatched) this.#hold(this.#blockOf(input));
      for (const value of saved) this.#hold(this.#blockOf(value));
      this.#nodes.push({ out, inputs, saved, forward, backward });
    }
    for (const block of blocks.slice(0, -1)) this.#leave(block);
  }

  #backward({ out, inputs, saved, backward }: Operation): void {
    const dOut = this.#gradients.get(out);
    if (dOut !== undefined && backward !== null) {
      const { makes, made, leaves, passing, scratchBytes } = backward;
      const isReused = backward.isInPlace === true && dOut.holds === 1 && !out.isWatched;
      for (const elements of leaves) this.#hold(this.#make(elements));
      const results = inputs.map((_, i) => {
        const elements = makes === null ? 0 : (makes[i] ?? 0);
        if (makes === null || isReused) return dOut;
        if (made !== undefined) return this.#blockOf(made);
        return elements > 0 ? this.#make(elements) : null;
      });
      const others = passing.map((elements) => this.#make(elements));
      this.#reach(scratchBytes);
      inputs.forEach((input, i) => {
        const result = results[i] ?? null;
        if (result !== null && input.isTracked) this.#accumulate(input, result);
      });
      for (const block of [...results, ...others]) {
        if (block !== null && block !== dOut) this.#leave(block);
      }
      this.#passed(out, dOut);
    }
    for (const value of saved) this.#letGo(this.#blockOf(value));
  }

  #forwardAll({ operations, endings }: LayerPart, isRecording: boolean): void {
    for (const operation of operations) {
      this.#forward(operation, isRecording);
      for (const value of endings.get(operation) ?? []) this.#leave(this.#blockOf(value));
    }
  }

  #runAgain(layer: LayerPart): void {
    const { x, operations, out } = layer;
    for (const operation of operations) {
      for (const value of [operation.out, ...operation.saved]) {
        // The layer's own tensors are new ones this time.
        if (value !== x && this.#blocks.get(value)?.isFree === true) this.#blocks.delete(value);
      }
    }
    this.#blocks.delete(out);
    this.#forwardAll(layer, true);
    this.#leaveAllOf(operations, null);
    if (x !== null) this.#letGo(this.#blockOf(x));
  }

  #accumulate(target: Value, gradient: Block): void {
    const existing = this.#gradients.get(target);
    if (existing === undefined) {
      this.#gradients.set(target, this.#hold(gradient));
    } else if (existing.holds > 1) {
      this.#gradients.set(target, this.#hold(this.#make(target.elements)));
      this.#letGo(existing);
    }
  }

  /** The gradient has been passed on and goes, unless someone watches it. */
  #passed(value: Value, gradient: Block): void {
    if (value.isWatched) return;
    this.#gradients.delete(value);
    gradient.isLeft = true;
    this.#letGo(gradient);
  }

  #leaveAllOf(operations: readonly Operation[], except: Value | null): void {
    for (const { out } of operations) if (out !== except) this.#leave(this.#blockOf(out));
  }

  #blockOf(value: Value): Block {
    const known = this.#blocks.get(value);
    if (known !== undefined) return known;
    const block = this.#make(value.elements);
    this.#blocks.set(value, block);
    return block;
  }

  #make(elements: number): Block {
    const block = { bytes: tensorBytes(elements), holds: 0, isLeft: false, isFree: false };
    this.#held += block.bytes;
    this.#reach(0);
    return block;
  }

  #reach(moreBytes: number): void {
    this.#peak = Math.max(this.#peak, this.#held + moreBytes);
  }

  #hold(block: Block): Block {
    block.holds++;
    return block;
  }

  #letGo(block: Block): void {
    block.holds--;
    if (block.isLeft) this.#leave(block);
  }

  #leave(block: Block): void {
    block.isLeft = true;
    if (block.holds > 0 || block.isFree) return;
    block.isFree = true;
    this.#held -= block.bytes;
  }
}
