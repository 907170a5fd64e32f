/** Builds a WordPiece vocabulary from text by merging the most frequent pairs of pieces. */
import { ConfigError } from "../base/errors.ts";
import { mergePairs, type CountedWord } from "./pair-merging.ts";
import { Tokenizer } from "./tokenizer.ts";

export interface VocabularyOptions {
  readonly vocabSize: number;
  readonly lowerCase: boolean;
  /** Characters and pairs seen less often than this get no entry of their own. */
  readonly minFrequency: number;
}

/** What the ids feed: an encoder gets `[CLS] text [SEP]`, a causal model `[CLS] text` as its start. */
export type TokenizerPurpose = "encoder" | "causal";

export interface TokenizerFiles {
  /** The content of tokenizer.json. */
  readonly definition: Record<string, unknown>;
  /** The content of tokenizer_config.json. */
  readonly config: Record<string, unknown>;
}

const specialPieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] as const;
const continuation = "##";
const longestWord = 100;

/**
 * The vocabulary of `lines`, in id order: special pieces, characters, then merges by frequency.
 *
 * Merging by frequency is what the WordPiece trainer of Hugging Face tokenizers does (byte-pair
 * encoding, Sennrich et al. 2016, with a continuation prefix). Every printable ASCII character has an
 * entry, so that plain English or a log line never meets [UNK]. Throws ConfigError when `vocabSize`
 * cannot even hold the characters.
 */
export function trainWordPiece(lines: Iterable<string>, options: VocabularyOptions): string[] {
  const splitter = wordSplitter(options.lowerCase);
  const counts = countWords(lines, splitter);
  const alphabet = alphabetOf(counts, splitter, options.minFrequency);
  const vocabulary = [...specialPieces, ...alphabet];
  if (vocabulary.length > options.vocabSize) {
    throw new ConfigError("vocabSize is too small for the characters of the text", {
      expected: `at least ${vocabulary.length}`,
      got: String(options.vocabSize),
      hint: "raise vocabSize or minFrequency",
    });
  }
  const idOf = new Map(vocabulary.map((piece, id) => [piece, id]));
  const words: CountedWord[] = [];
  for (const [word, count] of counts) {
    const ids = Array.from(word, (char, i) => idOf.get(i === 0 ? char : continuation + char));
    if (ids.length > longestWord || ids.includes(undefined)) continue;
    words.push({ ids: Int32Array.from(ids as number[]), count });
  }
  mergePairs(words, options.minFrequency, (left, right) => {
    if (vocabulary.length >= options.vocabSize) return undefined;
    const tail = vocabulary[right] as string;
    const piece = (vocabulary[left] as string) + tail.slice(continuation.length);
    const known = idOf.get(piece);
    if (known !== undefined) return known;
    idOf.set(piece, vocabulary.length);
    return vocabulary.push(piece) - 1;
  });
  return vocabulary;
}

/** The two files that make a vocabulary loadable by us and by Hugging Face tokenizers. */
export function wordPieceFiles(
  vocabulary: readonly string[],
  options: { lowerCase: boolean; purpose: TokenizerPurpose; maxTokens: number },
): TokenizerFiles {
  const idOf = (piece: string): number => vocabulary.indexOf(piece);
  const special = (id: string, segment: number) => ({ SpecialToken: { id, type_id: segment } });
  const sequence = (id: "A" | "B", segment: number) => ({ Sequence: { id, type_id: segment } });
  const isEncoder = options.purpose === "encoder";
  const definition = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: specialPieces.map((content) => ({
      id: idOf(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: options.lowerCase,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: {
      type: "TemplateProcessing",
      single: isEncoder
        ? [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0)]
        : [special("[CLS]", 0), sequence("A", 0)],
      pair: isEncoder
        ? [
            special("[CLS]", 0),
            sequence("A", 0),
            special("[SEP]", 0),
            sequence("B", 1),
            special("[SEP]", 1),
          ]
        : [special("[CLS]", 0), sequence("A", 0), special("[SEP]", 0), sequence("B", 1)],
      special_tokens: Object.fromEntries(
        ["[CLS]", "[SEP]"].map((id) => [id, { id, ids: [idOf(id)], tokens: [id] }]),
      ),
    },
    decoder: { type: "WordPiece", prefix: continuation, cleanup: true },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: continuation,
      max_input_chars_per_word: longestWord,
      vocab: Object.fromEntries(vocabulary.map((piece, id) => [piece, id])),
    },
  };
  const config = {
    tokenizer_class: isEncoder ? "BertTokenizer" : "PreTrainedTokenizerFast",
    do_lower_case: options.lowerCase,
    model_max_length: options.maxTokens,
    unk_token: "[UNK]",
    pad_token: "[PAD]",
    cls_token: "[CLS]",
    sep_token: "[SEP]",
    mask_token: "[MASK]",
    ...(isEncoder ? {} : { bos_token: "[CLS]", eos_token: "[SEP]" }),
  };
  return { definition, config };
}

/** A tokenizer without a vocabulary, for its rules of what a word is. */
function wordSplitter(lowerCase: boolean): Tokenizer {
  const files = wordPieceFiles(specialPieces, { lowerCase, purpose: "encoder", maxTokens: 1 });
  return new Tokenizer(files.definition, files.config, "the word splitter");
}

/** Counts first what lies between spaces, so that each distinct stretch is normalised only once. */
function countWords(lines: Iterable<string>, splitter: Tokenizer): Map<string, number> {
  const stretches = new Map<string, number>();
  for (const line of lines) {
    for (const stretch of line.split(/[ \t\r\n]+/)) {
      if (stretch !== "") stretches.set(stretch, (stretches.get(stretch) ?? 0) + 1);
    }
  }
  const words = new Map<string, number>();
  for (const [stretch, count] of stretches) {
    for (const word of splitter.words(stretch)) words.set(word, (words.get(word) ?? 0) + count);
  }
  return words;
}

/** Every character as a word's start and, unless it always stands alone, as its continuation. */
function alphabetOf(
  counts: Map<string, number>,
  splitter: Tokenizer,
  minFrequency: number,
): string[] {
  const seen = new Map<string, number>();
  for (const [word, count] of counts) {
    for (const char of word) seen.set(char, (seen.get(char) ?? 0) + count);
  }
  const chars = [...seen].filter(([, count]) => count >= minFrequency).map(([char]) => char);
  for (let code = 0x21; code < 0x7f; code++) chars.push(String.fromCharCode(code));
  const kept = [...new Set(chars)].filter((char) => splitter.words(char)[0] === char).sort();
  const continued = kept.filter((char) => splitter.words(`a${char}`).length === 1);
  return [...kept, ...continued.map((char) => continuation + char)];
}
