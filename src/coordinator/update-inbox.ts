/** Fetches offered updates, lets only sound ones in, and holds them until the round is merged. */
import type { AdapterState } from "../base/adapter.ts";
import type { NamedArrays } from "../base/arrays.ts";
import type { Clock } from "../base/clock.ts";
import type { Structure } from "../base/structure.ts";
import type { RejectReason } from "../protocol/messages.ts";
import type { AdapterUpdate } from "../strategies/aggregation/aggregator.ts";
import type { Defect } from "../strategies/aggregation/update-check.ts";
import type { BlobRef, BlobStore } from "../transfer/blob-store.ts";
import type { DataPlane } from "../transfer/data-plane.ts";
import type { Expectation, UpdateLayout } from "./update-layout.ts";
import type { Appraisal, UpdateScreen } from "./update-screen.ts";

export interface InboxOptions {
  readonly plane: DataPlane;
  readonly store: BlobStore;
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly layout: UpdateLayout;
  readonly screen: Pick<UpdateScreen, "appraise">;
  /** What this run's aggregator cannot merge in an update that is sound by itself, or null. */
  readonly defectIn: (update: AdapterState) => Defect | null;
  /** Blobs that must stay in the store even when a device offers them as its update. */
  readonly isKept: (root: string) => boolean;
}

export interface Offer {
  readonly device: string;
  /** The round whose adapter it was trained from. */
  readonly round: number;
  readonly blob: BlobRef;
  readonly numSamples: number;
  readonly expected: Expectation;
}

/** An update that waits for its round to be merged. */
export interface HeldUpdate extends AdapterUpdate, Appraisal {
  /** The round whose adapter it was trained from. */
  readonly round: number;
  readonly structure: Structure;
  /** Of the body. */
  readonly sparsity: number;
  readonly rank: number;
  /** `scores.heads` and `scores.ffn`, or none. */
  readonly scores: NamedArrays;
}

export type Verdict =
  | { readonly kind: "received"; readonly uploadMs: number; readonly update: HeldUpdate }
  | { readonly kind: "refused"; readonly reason: RejectReason; readonly detail: string }
  /** The transfer broke off or was abandoned. */
  | { readonly kind: "broken"; readonly detail: string; readonly cause?: unknown };

export class UpdateInbox {
  readonly #options: InboxOptions;
  readonly #updates = new Map<string, HeldUpdate>();
  /** Every blob that a device has offered, whole or in part. */
  readonly #roots = new Map<string, Set<string>>();
  readonly #fetches = new Map<string, AbortController>();

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** Never rejects. An update is held from the moment that the verdict is "received". */
  async fetch({ device, round, blob, numSamples, expected }: Offer): Promise<Verdict> {
    const { plane, store, clock, maxBytes, layout, screen, defectIn } = this.#options;
    if (blob.sizeBytes > maxBytes) {
      return { kind: "refused", reason: "too-large", detail: `${blob.sizeBytes} bytes` };
    }
    this.abandon(device);
    const controller = new AbortController();
    this.#fetches.set(device, controller);
    const startMs = clock.nowMs();
    this.#roots.set(device, new Set([...(this.#roots.get(device) ?? []), blob.root]));
    try {
      await plane.pull({ device, blob, maxBytes, signal: controller.signal });
      const bytes = await store.readAll(blob.root);
      if (controller.signal.aborted) return { kind: "broken", detail: "abandoned" };
      const read = layout.read(bytes, `the update of ${device}`, expected);
      if ("reason" in read) return { kind: "refused", ...read };
      const { state, ...rest } = read;
      const defect = defectIn(state);
      if (defect !== null) return { kind: "refused", reason: "wrong-shape", detail: defect.text };
      const appraisal = screen.appraise(state, { ...rest, round });
      if ("excess" in appraisal) {
        return { kind: "refused", reason: "too-far", detail: appraisal.excess };
      }
      const update = { ...state, ...rest, ...appraisal, deviceId: device, round, numSamples };
      this.#updates.set(device, update);
      return { kind: "received", uploadMs: clock.nowMs() - startMs, update };
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      return { kind: "broken", detail, cause: error };
    } finally {
      if (this.#fetches.get(device) === controller) this.#fetches.delete(device);
    }
  }

  abandon(device: string): void {
    this.#fetches.get(device)?.abort();
    this.#fetches.delete(device);
  }

  /** The updates of these devices; those that are not held are left out. */
  updatesOf(devices: readonly string[]): HeldUpdate[] {
    return devices.flatMap((device) => this.#updates.get(device) ?? []);
  }

  /** Forgets the updates of a round that is done and removes the blobs that nobody needs; only those of `devices` where others are still to come. */
  async clear(devices: Iterable<string> = [...this.#roots.keys()]): Promise<void> {
    const { store, isKept } = this.#options;
    for (const device of devices) {
      this.#updates.delete(device);
      this.#roots.delete(device);
    }
    const isOffered = (root: string): boolean =>
      [...this.#roots.values()].some((offered) => offered.has(root));
    await store.sweep((root) => isOffered(root) || isKept(root));
  }
}
