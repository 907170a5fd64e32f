/**
 * A start for an encoder's attention: the heads of the first layers look at their neighbours.
 *
 * From a random start every head attends to everything alike, and a masked model first has to find
 * out that the words next to a gap matter: it stays at the loss of word frequencies for thousands of
 * steps. Here positions start as sinusoids of evenly spaced frequencies, so that two positions are
 * alike only when they are equal, and each head's query is its key turned by a fixed offset: it scores
 * position p + offset highest. Training is free to change all of it. See docs/pretraining.md.
 */
import type { Rng } from "../base/rng.ts";
import { ConfigError } from "../base/errors.ts";
import type { Model } from "../models/model.ts";

export interface LocalStartOptions {
  /** Layers whose heads start local; the others start at random. */
  readonly numLayers: number;
  /** Standard deviation of the key weights: at width 192 and head size 32, 0.1 gives a peak score near 5. */
  readonly keyStd: number;
}

export const localStartDefaults: LocalStartOptions = { numLayers: 2, keyStd: 0.1 };

/** Overwrites the position table and the query and key weights of the first layers. Throws ConfigError for a model without learned positions. */
export function startLocalAttention(model: Model, options: LocalStartOptions, rng: Rng): void {
  const { width, maxPositions, headSize, numHeads, initStd } = model.architecture;
  const name = model.family.names.positionEmbedding;
  const table = name === undefined ? undefined : model.store.get(name)?.tensor.f32;
  if (table === undefined || width % 2 !== 0) {
    throw new ConfigError("the local attention start needs learned positions and an even width");
  }
  const half = width / 2;
  const angle = (pair: number): number => (Math.PI * (pair + 0.5)) / half;
  for (let position = 0; position < maxPositions; position++) {
    for (let pair = 0; pair < half; pair++) {
      const at = position * width + 2 * pair;
      table[at] = initStd * Math.SQRT2 * Math.sin(angle(pair) * position);
      table[at + 1] = initStd * Math.SQRT2 * Math.cos(angle(pair) * position);
    }
  }
  for (const block of model.body.blocks.slice(0, options.numLayers)) {
    const query = block.query.weight.tensor.f32;
    const key = block.key.weight.tensor.f32;
    for (let head = 0; head < numHeads; head++) {
      const offset = headOffset(head);
      for (let row = head * headSize; row < (head + 1) * headSize; row++) {
        for (let pair = 0; pair < half; pair++) {
          const at = row * width + 2 * pair;
          const onSine = options.keyStd * rng.normal();
          const onCosine = options.keyStd * rng.normal();
          key[at] = onSine;
          key[at + 1] = onCosine;
          // sin(a + t) = sin a cos t + cos a sin t, cos(a + t) = cos a cos t - sin a sin t.
          const [c, s] = [Math.cos(angle(pair) * offset), Math.sin(angle(pair) * offset)];
          query[at] = onSine * c - onCosine * s;
          query[at + 1] = onSine * s + onCosine * c;
        }
      }
    }
  }
}

/** -1, +1, -2, +2, …: where the head looks, in tokens. */
function headOffset(head: number): number {
  const distance = Math.floor(head / 2) + 1;
  return head % 2 === 0 ? -distance : distance;
}
