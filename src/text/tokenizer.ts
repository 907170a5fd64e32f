/** Text to token ids and back, by the rules of a Hugging Face tokenizer.json. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer as HuggingFaceTokenizer } from "@huggingface/tokenizers";
import { CheckpointError, ConfigError } from "../base/errors.ts";

/** The ids of the special tokens that the tokenizer has; a missing key means it has none. */
export interface SpecialIds {
  readonly pad?: number;
  readonly unk?: number;
  readonly cls?: number;
  readonly sep?: number;
  readonly mask?: number;
  readonly bos?: number;
  readonly eos?: number;
}

export interface EncodeOptions {
  /** Upper bound on the ids, special tokens included; no bound when absent. */
  readonly maxTokens?: number;
  /** The second text of a pair; an empty text counts as none. */
  readonly pair?: string;
  /** Default true: special tokens as the post-processor of the file places them. */
  readonly specialTokens?: boolean;
}

export interface Encoded {
  readonly ids: number[];
  readonly truncated: boolean;
}

/** What is used of the library; its own typings do not resolve under NodeNext and come out as any. */
interface LibraryTokenizer {
  readonly normalizer: { normalize(text: string): string } | null;
  readonly pre_tokenizer: { pre_tokenize(text: string): string[] } | null;
  readonly model: { readonly unk_token_id?: number };
  readonly post_processor: {
    post_process(first: string[], second: string[] | null, special: boolean): { tokens: string[] };
  } | null;
  tokenize(text: string, options: { add_special_tokens: boolean }): string[];
  decode(ids: number[], options: { skip_special_tokens: boolean }): string;
  token_to_id(piece: string): number | undefined;
  id_to_token(id: number): string | undefined;
  get_vocab(): Map<string, number>;
}

const createLibraryTokenizer = HuggingFaceTokenizer as new (
  definition: object,
  config: object,
) => LibraryTokenizer;

const specialRoles = ["pad", "unk", "cls", "sep", "mask", "bos", "eos"] as const;

export class Tokenizer {
  readonly vocabSize: number;
  readonly special: SpecialIds;
  /** Whether a text's ids are those of its space-separated words one after another. */
  readonly splitsAtSpaces: boolean;
  /** SHA-256 of the definition in hex: equal digests give equal ids. */
  readonly digest: string;
  readonly #library: LibraryTokenizer;
  readonly #unkId: number | undefined;

  /** `source` names the origin in errors. Throws CheckpointError when the definition cannot be used. */
  constructor(definition: object, config: object, source: string) {
    try {
      this.#library = new createLibraryTokenizer(definition, config);
      this.#library.tokenize("a b", { add_special_tokens: true });
    } catch (cause) {
      throw new CheckpointError(`${source} is not a tokenizer that can be used`, {
        cause,
        expected: "tokenizer.json as written by Hugging Face tokenizers",
        hint: "save the tokenizer again with save_pretrained() of a fast tokenizer",
      });
    }
    let highestId = -1;
    for (const id of this.#library.get_vocab().values()) highestId = Math.max(highestId, id);
    this.vocabSize = highestId + 1;
    this.special = specialIds(config as Record<string, unknown>, this.#library);
    this.#unkId = this.special.unk;
    this.digest = createHash("sha256").update(JSON.stringify(definition)).digest("hex");
    const { pre_tokenizer: preTokenizer } = definition as { pre_tokenizer?: { type?: string } };
    this.splitsAtSpaces = preTokenizer?.type === "BertPreTokenizer";
  }

  /**
   * Ids of `text`, or of the pair. What is too long loses tokens at the end of the texts (the longer
   * one first, as `longest_first` of Hugging Face), never its special tokens.
   */
  encode(text: string, options: EncodeOptions = {}): Encoded {
    const { maxTokens = Infinity, specialTokens = true } = options;
    const first = this.#pieces(text);
    const second = options.pair ? this.#pieces(options.pair) : null;
    const room = maxTokens - (specialTokens ? this.#specialCount(second !== null) : 0);
    if (room < 0) {
      throw new ConfigError("maxTokens leaves no room for the special tokens", {
        expected: `at least ${maxTokens - room}`,
        got: String(maxTokens),
      });
    }
    const [firstRoom, secondRoom] = pairLengths(first.length, second?.length ?? 0, room);
    const truncated = firstRoom < first.length || secondRoom < (second?.length ?? 0);
    const pieces = this.#postProcess(
      first.slice(0, firstRoom),
      second === null ? null : second.slice(0, secondRoom),
      specialTokens,
    );
    return { ids: pieces.map((piece) => this.#idOf(piece)), truncated };
  }

  /** The text of `ids` without special tokens. */
  decode(ids: readonly number[]): string {
    return ids.length === 0 ? "" : this.#library.decode([...ids], { skip_special_tokens: true });
  }

  /** The normalised words that the model of the tokenizer would cut into pieces one by one. */
  words(text: string): string[] {
    const normal = this.#library.normalizer?.normalize(text) ?? text;
    return this.#library.pre_tokenizer?.pre_tokenize(normal) ?? [normal];
  }

  /** The id of one vocabulary entry, as it is spelled in tokenizer.json. */
  idOf(piece: string): number | undefined {
    return this.#library.token_to_id(piece);
  }

  /** The vocabulary entry behind an id; undefined for an id that no entry has. */
  pieceOf(id: number): string | undefined {
    return this.#library.id_to_token(id);
  }

  #pieces(text: string): string[] {
    return this.#library.tokenize(text, { add_special_tokens: false });
  }

  #postProcess(first: string[], second: string[] | null, specialTokens: boolean): string[] {
    const processor = this.#library.post_processor;
    if (processor === null) return second === null ? first : [...first, ...second];
    return processor.post_process(first, second, specialTokens).tokens;
  }

  #specialCount(isPair: boolean): number {
    return this.#postProcess([], isPair ? [] : null, true).length;
  }

  #idOf(piece: string): number {
    const id = this.#library.token_to_id(piece) ?? this.#unkId;
    if (id !== undefined) return id;
    throw new CheckpointError(`the tokenizer yields "${piece}", which its vocabulary lacks`, {
      expected: "the piece, or an unk_token in tokenizer_config.json",
    });
  }
}

/**
 * Reads tokenizer.json and tokenizer_config.json of a model folder. Throws CheckpointError, naming
 * the file, when one is missing or cannot be used.
 */
export function loadTokenizer(folder: string): Tokenizer {
  const path = join(folder, "tokenizer.json");
  return new Tokenizer(readObject(path), readObject(join(folder, "tokenizer_config.json")), path);
}

function readObject(path: string): object {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CheckpointError(`cannot read ${path}`, {
      cause,
      hint: "a model folder needs config.json, its weights, tokenizer.json and tokenizer_config.json",
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${path} is not JSON`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new CheckpointError(`${path} holds the wrong thing`, { expected: "a JSON object" });
}

/** Special tokens by role; the file names each as text or as `{"content": text}`. */
function specialIds(config: Record<string, unknown>, library: LibraryTokenizer): SpecialIds {
  const ids: { -readonly [role in keyof SpecialIds]: SpecialIds[role] } = {};
  for (const role of specialRoles) {
    const entry = config[`${role}_token`];
    const content =
      typeof entry === "object" && entry !== null
        ? (entry as { content?: unknown }).content
        : entry;
    const id = typeof content === "string" ? library.token_to_id(content) : undefined;
    if (id !== undefined) ids[role] = id;
  }
  const modelUnk = library.model.unk_token_id;
  if (ids.unk === undefined && modelUnk !== undefined) ids.unk = modelUnk;
  return ids;
}

/** What is left of two lengths when their sum must fit `room`, the longer one giving way first. */
function pairLengths(first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second];
  const half = Math.floor(room / 2);
  if (Math.min(first, second) > half) {
    return first > second ? [room - half, half] : [half, room - half];
  }
  return first > second ? [room - second, second] : [first, room - first];
}
