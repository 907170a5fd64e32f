/** Writes a model folder of a given shape with random weights and a vocabulary of made-up words, piece by piece: nothing large is held. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Rng } from "../../src/base/rng.ts";
import { wordPieceFiles } from "../../src/text/train-vocabulary.ts";
import type { MemoryShape } from "./shapes.ts";

/** Pieces of a made-up vocabulary: words of two to four syllables, and the special tokens. */
export function vocabularyOf({ vocab }: MemoryShape): string[] {
  const syllables = ["ka", "lo", "mi", "ne", "ru", "sa", "ti", "vo", "we", "xu", "yo", "za", "pe"];
  const pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
  for (let i = 0; pieces.length < vocab; i++) {
    let word = "";
    for (let rest = i + syllables.length; rest > 0; rest = Math.floor(rest / syllables.length)) {
      word += syllables[rest % syllables.length] ?? "";
    }
    pieces.push(word);
  }
  return pieces;
}

/** Sentences that come to about `numWords` tokens each, with one of the labels. */
export function examplesOf(
  shape: MemoryShape,
  labels: readonly string[],
  count: number,
  numWords: number,
): { text: string; label: string }[] {
  const rng = Rng.fromSeed("examples");
  const words = vocabularyOf(shape).slice(5);
  return Array.from({ length: count }, () => ({
    text: Array.from({ length: numWords }, () => rng.pick(words)).join(" "),
    label: rng.pick(labels),
  }));
}

/** config.json, model.safetensors in float32, and the tokenizer's files. */
export function writeModelFolder(folder: string, shape: MemoryShape): void {
  mkdirSync(folder, { recursive: true });
  const config = {
    ...{ model_type: "bert", architectures: ["BertForSequenceClassification"] },
    ...{ vocab_size: shape.vocab, hidden_size: shape.width, type_vocab_size: 2 },
    ...{ num_hidden_layers: shape.layers, num_attention_heads: shape.heads },
    ...{ intermediate_size: shape.inner, max_position_embeddings: shape.positions },
    classifier_pooling: "mean",
  };
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeWeights(join(folder, "model.safetensors"), shape);
  const files = wordPieceFiles(vocabularyOf(shape), {
    ...{ lowerCase: true, purpose: "encoder", maxTokens: shape.positions },
  });
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(files.definition));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(files.config));
}

function tensorsOf({ layers, width: C, inner: F, vocab, positions }: MemoryShape) {
  const tensors: [name: string, shape: number[]][] = [
    ["bert.embeddings.word_embeddings.weight", [vocab, C]],
    ["bert.embeddings.position_embeddings.weight", [positions, C]],
    ["bert.embeddings.token_type_embeddings.weight", [2, C]],
  ];
  const norm = (name: string) =>
    tensors.push([`${name}.LayerNorm.weight`, [C]], [`${name}.LayerNorm.bias`, [C]]);
  const linear = (name: string, outputs: number, inputs: number) =>
    tensors.push([`${name}.weight`, [outputs, inputs]], [`${name}.bias`, [outputs]]);
  norm("bert.embeddings");
  for (let i = 0; i < layers; i++) {
    const layer = `bert.encoder.layer.${i}`;
    for (const role of ["query", "key", "value"]) linear(`${layer}.attention.self.${role}`, C, C);
    linear(`${layer}.attention.output.dense`, C, C);
    norm(`${layer}.attention.output`);
    linear(`${layer}.intermediate.dense`, F, C);
    linear(`${layer}.output.dense`, C, F);
    norm(`${layer}.output`);
  }
  return tensors;
}

function writeWeights(path: string, shape: MemoryShape): void {
  const header: Record<string, object> = {};
  let end = 0;
  for (const [name, sides] of tensorsOf(shape)) {
    const start = end;
    end += 4 * sides.reduce((product, side) => product * side, 1);
    header[name] = { dtype: "F32", shape: sides, data_offsets: [start, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const rng = Rng.fromSeed("weights");
  const block = Float32Array.from({ length: 1 << 18 }, () => 0.02 * rng.normal());
  const file = openSync(path, "w");
  writeSync(file, length);
  writeSync(file, json);
  for (let at = 0; at < end; at += block.byteLength) {
    writeSync(file, block, 0, Math.min(block.byteLength, end - at));
  }
  closeSync(file);
}
