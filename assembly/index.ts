// The kernel module: one line per topic, and where the memory free for callers begins.
export * from "./matmul";

/** First byte above the module's static data: where the caller's arena may start. */
export function heapBase(): i32 {
  return <i32>__heap_base;
}
