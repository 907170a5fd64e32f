/** Training windows of fixed length out of a corpus, shuffled by seed, with a position to resume from. */
import { DataError } from "../base/errors.ts";
import { Rng } from "../base/rng.ts";
import type { Corpus, CorpusDocument } from "./corpus.ts";

/** The special ids around the text of every window: `[CLS]` and `[SEP]`, or a causal model's start. */
export interface WindowFrame {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

/** Where a run stands: `next` windows of epoch `epoch` are behind it. */
export interface WindowPosition {
  readonly epoch: number;
  readonly next: number;
}

/**
 * Cuts `heldOutFraction` off the end of every document, so that training and held-out text share
 * authors but no token. The ids are shared, not copied.
 */
export function splitCorpus(
  corpus: Corpus,
  heldOutFraction: number,
): { training: Corpus; heldOut: Corpus } {
  const parts = corpus.documents.map(({ name, start, length }) => {
    const kept = length - Math.round(length * heldOutFraction);
    return {
      training: { name, start, length: kept },
      heldOut: { name, start: start + kept, length: length - kept },
    };
  });
  return {
    training: { ids: corpus.ids, documents: parts.map((part) => part.training) },
    heldOut: { ids: corpus.ids, documents: parts.map((part) => part.heldOut) },
  };
}

/**
 * Every window of `windowTokens` ids, frame included, once per epoch in a shuffled order.
 *
 * Windows never cross a document's end. Each epoch cuts at other places: its first cut is drawn
 * anew, so that a text meets its neighbours in different windows.
 */
export class WindowSampler {
  readonly windowTokens: number;
  readonly #corpus: Corpus;
  readonly #frame: WindowFrame;
  readonly #bodyTokens: number;
  readonly #seed: number | string;
  #epoch = -1;
  #next = 0;
  #starts: number[] = [];

  /** Throws DataError when no document is as long as a window. */
  constructor(
    corpus: Corpus,
    options: { windowTokens: number; frame: WindowFrame; seed: number | string },
  ) {
    this.windowTokens = options.windowTokens;
    this.#corpus = corpus;
    this.#frame = options.frame;
    this.#bodyTokens =
      options.windowTokens - options.frame.prefix.length - options.frame.suffix.length;
    this.#seed = options.seed;
    const longest = Math.max(0, ...corpus.documents.map((document) => document.length));
    if (this.#bodyTokens < 1 || longest < this.#bodyTokens) {
      throw new DataError("no document is long enough for the training windows", {
        expected: `room for text in ${options.windowTokens} tokens and a document of at least ${this.#bodyTokens}`,
        got: `${longest} tokens in the longest document`,
        hint: "use shorter windows or longer texts",
      });
    }
    this.#openEpoch(0);
  }

  get position(): WindowPosition {
    return { epoch: this.#epoch, next: this.#next };
  }

  set position({ epoch, next }: WindowPosition) {
    this.#openEpoch(epoch);
    this.#next = next;
  }

  /** Number of windows in the current epoch. */
  get epochWindows(): number {
    return this.#starts.length;
  }

  /** The next `count` windows, ids [count, windowTokens]; goes on into the next epoch by itself. */
  next(count: number): Int32Array {
    const out = new Int32Array(count * this.windowTokens);
    for (let row = 0; row < count; row++) {
      if (this.#next >= this.#starts.length) this.#openEpoch(this.#epoch + 1);
      const start = this.#starts[this.#next++] as number;
      this.#fill(out, row * this.windowTokens, start);
    }
    return out;
  }

  #fill(out: Int32Array, at: number, start: number): void {
    const { prefix, suffix } = this.#frame;
    out.set(prefix, at);
    out.set(this.#corpus.ids.subarray(start, start + this.#bodyTokens), at + prefix.length);
    out.set(suffix, at + prefix.length + this.#bodyTokens);
  }

  #openEpoch(epoch: number): void {
    this.#next = 0;
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    const rng = Rng.fromSeed(`${this.#seed}/epoch ${epoch}`);
    const offset = rng.int(this.#bodyTokens);
    this.#starts = rng.shuffle(windowStarts(this.#corpus.documents, this.#bodyTokens, offset));
  }
}

/** First token of every whole window; a document too short for the offset is cut from its start. */
function windowStarts(
  documents: readonly CorpusDocument[],
  bodyTokens: number,
  offset: number,
): number[] {
  const starts: number[] = [];
  for (const { start, length } of documents) {
    const first = offset + bodyTokens <= length ? offset : 0;
    for (let at = first; at + bodyTokens <= length; at += bodyTokens) starts.push(start + at);
  }
  return starts;
}
