/** An adapter as the bytes of a safetensors file, with the names that PEFT uses for the factors. */
import type { AdapterState, LoraModule } from "../base/adapter.ts";
import type { HostArray, NamedArrays } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";
import { decodeSafetensors } from "../io/safetensors.ts";
import { encodeSafetensors } from "../io/safetensors-writer.ts";

const FACTOR = /^(.+)\.lora_([AB])\.weight$/;

/** `<module>.lora_A.weight` [R, in], `<module>.lora_B.weight` [out, R], and the heads under their own names. */
export function encodeAdapter({ modules, heads }: AdapterState): Uint8Array {
  const arrays: NamedArrays = new Map();
  for (const { name, a, b } of modules) {
    arrays.set(`${name}.lora_A.weight`, a);
    arrays.set(`${name}.lora_B.weight`, b);
  }
  for (const [name, head] of heads) arrays.set(name, head);
  return encodeSafetensors(arrays);
}

/** Reads what `encodeAdapter` writes; the file does not state its scale. Throws CheckpointError when a factor has no partner. */
export function decodeAdapter(bytes: Uint8Array, scale: number, origin: string): AdapterState {
  const heads: NamedArrays = new Map();
  const pairs = new Map<string, { A?: HostArray; B?: HostArray }>();
  for (const [name, array] of decodeSafetensors(bytes, origin)) {
    const [, module, letter] = FACTOR.exec(name) ?? [];
    if (module === undefined) heads.set(name, array);
    else pairs.set(module, { ...pairs.get(module), [letter as "A" | "B"]: array });
  }
  const modules = [...pairs].map(([name, { A: a, B: b }]): LoraModule => {
    if (a !== undefined && b !== undefined) return { name, a, b, scale };
    throw new CheckpointError(`${origin}: ${name} has one factor`, {
      expected: "lora_A and lora_B",
    });
  });
  return { modules, heads };
}
