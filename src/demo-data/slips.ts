/** How people type: short forms, and slips inside long words that leave them legible. */
import type { Rng } from "../base/rng.ts";
import { ABBREVIATIONS, DECIDING_WORDS } from "./styles.ts";

const ABBREVIATION_SHARE = 0.4;
const SLIP_SHARE = 0.06;
/** Shorter words are hard to recognise with a slip. */
const MIN_SLIP_LENGTH = 6;

/** Abbreviates and misspells some words of `text`; deciding words, numbers and names stay. */
export function typedByHand(text: string, rng: Rng): string {
  return text.replace(/\b[a-z]+\b/g, (word) => {
    const short = ABBREVIATIONS[word];
    if (short !== undefined && rng.next() < ABBREVIATION_SHARE) return short;
    if (word.length < MIN_SLIP_LENGTH || DECIDING_WORDS.has(word)) return word;
    return rng.next() < SLIP_SHARE ? misspelt(word, rng) : word;
  });
}

/** Swaps, drops or doubles one inner letter. */
function misspelt(word: string, rng: Rng): string {
  const at = 1 + rng.int(word.length - 3);
  const [before, letter, next, after] = [
    word.slice(0, at),
    word.charAt(at),
    word.charAt(at + 1),
    word.slice(at + 2),
  ];
  return rng.pick([
    `${before}${next}${letter}${after}`,
    `${before}${next}${after}`,
    `${before}${letter}${letter}${next}${after}`,
  ]);
}
