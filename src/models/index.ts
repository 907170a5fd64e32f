/** The model families there are. */
import { bert } from "./bert.ts";
import { llama } from "./llama.ts";

export const families = [bert, llama] as const;
