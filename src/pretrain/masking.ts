/** Masked-language-model examples from whole windows: which ids to hide, and what to predict. */
import { Rng } from "../base/rng.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/** The label of a position that is not predicted. */
export const ignoredLabel = -100;

export interface MaskingOptions {
  /** Chance of each token, or of each word, to be predicted. */
  readonly probability: number;
  /** Hide all pieces of a word together, so that its other pieces cannot give it away. */
  readonly wholeWords: boolean;
  readonly seed: number | string;
}

/** What masking has to know of a vocabulary. */
export interface MaskingVocabulary {
  readonly maskId: number;
  /** Ids that may stand in for a hidden one: everything but the special pieces. */
  readonly ordinaryIds: Int32Array;
  /** One byte per id: 1 for the special pieces, which are never hidden. */
  readonly isSpecial: Uint8Array;
  /** One byte per id: 1 for pieces that continue a word. */
  readonly continuesWord: Uint8Array;
}

/** Reads off a WordPiece tokenizer what masking has to know; its mask token must exist. */
export function maskingVocabulary(tokenizer: Tokenizer, maskId: number): MaskingVocabulary {
  const isSpecial = new Uint8Array(tokenizer.vocabSize);
  for (const id of Object.values(tokenizer.special) as number[]) isSpecial[id] = 1;
  const continuesWord = new Uint8Array(tokenizer.vocabSize);
  const ordinary: number[] = [];
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    const piece = tokenizer.pieceOf(id) ?? "";
    if (piece.length > 2 && piece.startsWith("##")) continuesWord[id] = 1;
    if (isSpecial[id] === 0) ordinary.push(id);
  }
  return { maskId, ordinaryIds: Int32Array.from(ordinary), isSpecial, continuesWord };
}

/**
 * Hides a share of `ids` [rows, windowTokens]: 80 % become the mask id, 10 % another id, 10 % stay
 * (BERT, Devlin et al. 2019, section 3.1). Labels hold the hidden ids, `ignoredLabel` elsewhere.
 * The same seed and step give the same choice.
 */
export function maskTokens(
  ids: Int32Array,
  windowTokens: number,
  vocabulary: MaskingVocabulary,
  options: MaskingOptions,
  step: number,
): { inputIds: Int32Array; labels: Int32Array } {
  const rng = Rng.fromSeed(`${options.seed}/masking ${step}`);
  const inputIds = ids.slice();
  const labels = new Int32Array(ids.length).fill(ignoredLabel);
  let hidden = false;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    if (vocabulary.isSpecial[id] === 1) continue;
    const joinsPrevious =
      options.wholeWords &&
      vocabulary.continuesWord[id] === 1 &&
      i % windowTokens > 0 &&
      vocabulary.isSpecial[ids[i - 1] as number] === 0;
    if (!joinsPrevious) hidden = rng.next() < options.probability;
    if (!hidden) continue;
    labels[i] = id;
    const choice = rng.next();
    if (choice < 0.8) inputIds[i] = vocabulary.maskId;
    else if (choice < 0.9) {
      inputIds[i] = vocabulary.ordinaryIds[rng.int(vocabulary.ordinaryIds.length)] as number;
    }
  }
  return { inputIds, labels };
}
