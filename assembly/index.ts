// The kernel module: one line per topic, and where the memory free for callers begins.
export * from "./activation";
export * from "./attention";
export * from "./convert";
export * from "./cross-entropy";
export * from "./dropout";
export * from "./elementwise";
export * from "./embedding";
export * from "./matmul";
export * from "./norm";
export * from "./optimizer";
export * from "./pool";
export * from "./reduce";
export * from "./rope";
export { softmaxBackwardF32, softmaxF32 } from "./softmax";
export * from "./unit-scores";

/** First byte above the module's static data: where the caller's arena may start. */
export function heapBase(): i32 {
  return <i32>__heap_base;
}
