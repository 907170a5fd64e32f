/** Checkpoints in forms that this project reads but does not write: bfloat16 and shards. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { NamedArrays } from "../../src/base/arrays.ts";
import { writeJson } from "../../src/io/json.ts";
import { writeSafetensors } from "../../src/io/safetensors-writer.ts";
import { readTensors } from "./tiny-model.ts";

/** Clears the bits that bfloat16 has no room for. */
export function keepUpperHalves(tensors: NamedArrays): void {
  for (const { data } of tensors.values()) {
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
    words.forEach((word, i) => (words[i] = word & 0xffff0000));
  }
}

/** A file of the upper half of every float32. */
export function bf16File(tensors: NamedArrays): Buffer {
  const header: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let offset = 0;
  for (const [name, { shape, data }] of tensors) {
    const words = new Uint32Array(data.buffer, data.byteOffset, data.length);
    const bytes = Buffer.from(Uint16Array.from(words, (word) => word >>> 16).buffer);
    header[name] = { dtype: "BF16", shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    parts.push(bytes);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, ...parts]);
}

/** Replaces the weights of a folder by two shards and an index. */
export function shard(folder: string): void {
  const tensors = [...readTensors(folder)];
  const middle = tensors.length >> 1;
  const parts = [tensors.slice(0, middle), tensors.slice(middle)];
  const weightMap: Record<string, string> = {};
  parts.forEach((part, i) => {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    writeSafetensors(join(folder, file), new Map(part));
    for (const [tensor] of part) weightMap[tensor] = file;
  });
  rmSync(join(folder, "model.safetensors"));
  writeJson(join(folder, "model.safetensors.index.json"), { metadata: {}, weight_map: weightMap });
}
