/** The engine of a command, as its options ask for it. */
import type { ThreadChoice } from "../backend/threads/load.ts";
import { Engine } from "../tensor/engine.ts";
import type { KernelChoice } from "./options.ts";
import { note } from "./output.ts";

export interface EngineChoices {
  readonly kernels: KernelChoice;
  /** One when absent. */
  readonly threads?: ThreadChoice;
}

/** Says so where there are fewer threads than were asked for. Throws KernelError as Engine.create does. */
export function openEngine({ kernels, threads = 1 }: EngineChoices): Engine {
  const engine = Engine.create({ kernels, threads });
  if (threads !== "auto" && engine.threads !== threads) note(`kernels: ${engine.reason}`);
  return engine;
}

/** "1 thread", "2 threads" */
export function threadsText(threads: number): string {
  return threads === 1 ? "1 thread" : `${threads} threads`;
}
