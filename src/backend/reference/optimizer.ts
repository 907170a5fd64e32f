/** Optimiser steps in f64, as PyTorch writes them. */
import type { KernelSubset } from "../kernels.ts";
import { at, floats } from "./views.ts";

/** Twins of assembly/optimizer.ts over `memory`, with the same arguments. */
export function createOptimizerTwins(
  memory: WebAssembly.Memory,
): KernelSubset<"adamWF32" | "sgdF32"> {
  const view = (pointer: number, n: number): Float32Array => floats(memory, pointer, n);
  return {
    adamWF32: (
      ...[param, m, v, grad, n, lr, beta1, beta2, eps, weightDecay, bias1, bias2, gradScale]
    ) => {
      const [p, first, second, g] = [view(param, n), view(m, n), view(v, n), view(grad, n)];
      for (let i = 0; i < n; i++) {
        const slope = at(g, i) * gradScale;
        const mean = at(first, i) + (1 - beta1) * (slope - at(first, i));
        const square = beta2 * at(second, i) + (1 - beta2) * slope * slope;
        const root = Math.sqrt(square) / Math.sqrt(bias2) + eps;
        p[i] = at(p, i) * (1 - lr * weightDecay) - ((lr / bias1) * mean) / root;
        first[i] = mean;
        second[i] = square;
      }
    },
    sgdF32: (param, momentum, grad, n, lr, mu, weightDecay, gradScale) => {
      const [p, g] = [view(param, n), view(grad, n)];
      for (let i = 0; i < n; i++) {
        let slope = at(g, i) * gradScale + weightDecay * at(p, i);
        if (momentum !== 0) {
          const speed = view(momentum, n);
          slope += mu * at(speed, i);
          speed[i] = slope;
        }
        p[i] = at(p, i) - lr * slope;
      }
    },
  };
}
