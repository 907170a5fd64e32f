/** The part of the WebAssembly interface used here; Node's typings leave it to the DOM library. */
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { initial: number; maximum?: number; shared?: boolean });
    readonly buffer: ArrayBuffer;
    /** Adds pages of 64 KiB and returns how many there were; throws RangeError when it cannot. */
    grow(deltaPages: number): number;
  }
  class Module {
    constructor(bytes: ArrayBufferView);
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
  class Table {
    private constructor();
  }
  function validate(bytes: ArrayBufferView): boolean;
}
