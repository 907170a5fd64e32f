/** What a coordinator needs from its surroundings. */
import type { Clock } from "../base/clock.ts";
import type { ModelShape } from "../base/model-shape.ts";
import type { Rng } from "../base/rng.ts";
import type { MessageSeal } from "../security/sealed-transport.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import type { TransportFactory } from "../transport/transport.ts";
import type { MaybeEvaluate } from "./global-model.ts";
import type { RunEvent } from "./run-events.ts";
import type { TakeJournal } from "./run-journal.ts";
import type { HeadShapes } from "./update-layout.ts";

export interface CoordinatorDeps {
  /** Opens connections to the broker of the settings. */
  readonly factory: TransportFactory;
  /** Seals control messages and checks those of devices; absent: everybody whom the broker lets in is believed. */
  readonly seal?: MessageSeal;
  readonly clock: Clock;
  /** Seeded by chance, since it names messages, processes and runs; it decides nothing about the training. */
  readonly rng: Rng;
  /** null when there is nothing to score with. */
  readonly evaluate: MaybeEvaluate | null;
  /** Sizes of the base model as a classifier of the settings' labels. */
  readonly shape: ModelShape;
  /** The tensors of its head that devices train in full when the plan says so. */
  readonly heads: HeadShapes;
  readonly onEvent: (event: RunEvent) => void;
  /** Keeps the journal; synced to the disk by default. */
  readonly takeJournal?: TakeJournal;
  /** Keeps the events instead of events.jsonl in the run folder. */
  readonly log?: (atMs: number, event: RunEvent) => void;
  /** Go on with the run in the folder; false asks for a folder without one. */
  readonly resume: boolean;
  /** Where blobs are kept; a folder in the run folder by default. */
  readonly store?: BlobStore;
  /** Stops the run so that it can be resumed. */
  readonly signal?: AbortSignal;
}
