/** The operations there are: one file each, forward above backward. */
export { activation, activations, type ActivationName } from "./ops/activation.ts";
export { add } from "./ops/add.ts";
export { attention, type AttentionShape } from "./ops/attention.ts";
export { crossEntropy, IGNORED_LABEL } from "./ops/cross-entropy.ts";
export { dropout } from "./ops/dropout.ts";
export { gatherRows } from "./ops/gather-rows.ts";
export { layerNorm } from "./ops/layer-norm.ts";
export { linear } from "./ops/linear.ts";
export { loraLinear, type LowRank } from "./ops/lora-linear.ts";
export { meanPool } from "./ops/mean-pool.ts";
export { rmsNorm } from "./ops/rms-norm.ts";
export { rope, ropeTables, type RopeTables } from "./ops/rope.ts";
export { siluMul } from "./ops/silu-mul.ts";
export { vocabularyLoss } from "./ops/vocabulary-loss.ts";
