// The kernel module: one line per topic, and where the memory free for callers begins.
export * from "./activation";
export { attentionF32, attentionScratchBytes } from "./attention";
export { attentionBackwardF32 } from "./attention-backward";
export * from "./attention-decode";
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./convert";
export * from "./cross-entropy";
export * from "./dropout";
export * from "./elementwise";
export * from "./embedding";
export { dotOffset as int8DotOffset } from "./int8-dot";
export * from "./int8-product";
export * from "./matmul";
export * from "./norm";
export * from "./optimizer";
export * from "./pool";
export {
  dequantiseRowsInt4,
  dequantiseRowsInt8,
  quantiseRowsInt4,
  quantiseRowsInt8,
} from "./quantise";
export * from "./reduce";
export * from "./rope";
export { softmaxF32 } from "./softmax";
export * from "./stored-product";
export * from "./unit-scores";
export { useWideTiles } from "./wide-tile";

/** First byte above the module's static data: where the caller's arena may start. */
export function heapBase(): i32 {
  return <i32>__heap_base;
}
