/** Fetches offered updates, lets only sound ones in, and holds them until the round is merged. */
import type { AdapterState } from "../base/adapter.ts";
import type { Clock } from "../base/clock.ts";
import type { RejectReason } from "../protocol/messages.ts";
import type { AdapterUpdate } from "../strategies/aggregation/aggregator.ts";
import { defectOf, mismatchOf, rankOf } from "../strategies/aggregation/update-check.ts";
import type { BlobRef, BlobStore } from "../transfer/blob-store.ts";
import type { DataPlane } from "../transfer/data-plane.ts";
import { decodeAdapterFile } from "../io/adapter-file.ts";

export interface InboxOptions {
  readonly plane: DataPlane;
  readonly store: BlobStore;
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly rank: number;
  /** alpha / R */
  readonly scale: number;
  /** Blobs that must stay in the store even when a device offers them as its update. */
  readonly isKept: (root: string) => boolean;
}

export interface Offer {
  readonly device: string;
  readonly blob: BlobRef;
  readonly numSamples: number;
  /** An adapter of the same model, once there is one. */
  readonly like: AdapterState | null;
}

export type Verdict =
  | { readonly kind: "received"; readonly uploadMs: number }
  | { readonly kind: "refused"; readonly reason: RejectReason; readonly detail: string }
  /** The transfer broke off or was abandoned. */
  | { readonly kind: "broken"; readonly detail: string };

export class UpdateInbox {
  readonly #options: InboxOptions;
  readonly #updates = new Map<string, AdapterUpdate>();
  /** Every blob of this round, whole or in part. */
  readonly #roots = new Set<string>();
  readonly #fetches = new Map<string, AbortController>();

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** Never rejects. An update is held from the moment that the verdict is "received". */
  async fetch({ device, blob, numSamples, like }: Offer): Promise<Verdict> {
    const { plane, store, clock, maxBytes } = this.#options;
    if (blob.sizeBytes > maxBytes) return refused("too-large", `${blob.sizeBytes} bytes`);
    this.abandon(device);
    const controller = new AbortController();
    this.#fetches.set(device, controller);
    const startMs = clock.nowMs();
    this.#roots.add(blob.root);
    try {
      await plane.pull({ device, blob, maxBytes, signal: controller.signal });
      const bytes = await store.readAll(blob.root);
      if (controller.signal.aborted) return { kind: "broken", detail: "abandoned" };
      const state = this.#read(bytes, device, like);
      if ("kind" in state) return state;
      // The first update of a new run shows the layout that the others have to match.
      this.#updates.set(device, { ...state, deviceId: device, numSamples });
      return { kind: "received", uploadMs: clock.nowMs() - startMs };
    } catch (error) {
      return { kind: "broken", detail: error instanceof Error ? error.message : String(error) };
    } finally {
      if (this.#fetches.get(device) === controller) this.#fetches.delete(device);
    }
  }

  abandon(device: string): void {
    this.#fetches.get(device)?.abort();
    this.#fetches.delete(device);
  }

  /** The updates of these devices; those that are not held are left out. */
  updatesOf(devices: readonly string[]): AdapterUpdate[] {
    return devices.flatMap((device) => this.#updates.get(device) ?? []);
  }

  /** Forgets the updates of a round that is done and removes their blobs. */
  async clear(): Promise<void> {
    const { store, isKept } = this.#options;
    const roots = [...this.#roots].filter((root) => !isKept(root));
    this.#updates.clear();
    this.#roots.clear();
    for (const root of roots) await store.remove(root);
  }

  #read(bytes: Uint8Array, device: string, like: AdapterState | null): AdapterState | Verdict {
    const { rank, scale } = this.#options;
    let state: AdapterState;
    try {
      state = decodeAdapterFile(bytes, `the update of ${device}`, scale);
    } catch (error) {
      return refused("unreadable", error instanceof Error ? error.message : String(error));
    }
    const [first] = this.#updates.values();
    const reference = like ?? first;
    const defect =
      defectOf(state) ?? (reference === undefined ? null : mismatchOf(state, reference));
    if (defect !== null) {
      return refused(defect.reason === "not-finite" ? "not-finite" : "wrong-shape", defect.text);
    }
    const odd = state.modules.find((module) => rankOf(module) !== rank);
    if (odd !== undefined) return refused("wrong-shape", `${odd.name} has rank ${rankOf(odd)}`);
    if (state.modules.length === 0) return refused("wrong-shape", "no adapted layer");
    return state;
  }
}

function refused(reason: RejectReason, detail: string): Verdict {
  return { kind: "refused", reason, detail };
}
