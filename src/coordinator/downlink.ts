/** The adapters that devices start a round from: the global one, cut to each device's rank and structure, as blobs. */
import type { AdapterState } from "../base/adapter.ts";
import type { NamedArrays } from "../base/arrays.ts";
import type { ModelShape } from "../base/model-shape.ts";
import { type Structure, encodeStructure } from "../base/structure.ts";
import { encodeAdapterFile } from "../io/adapter-file.ts";
import { narrow } from "../strategies/aggregation/narrow.ts";
import type { BlobRef, BlobStore } from "../transfer/blob-store.ts";

/** What a device's adapter is cut to. */
export interface Cut {
  /** null: all directions. */
  readonly rank: number | null;
  readonly structure: Structure;
  /** The fleet's mean scores, to travel along; empty = none. */
  readonly scores: NamedArrays;
}

export class Downlink {
  readonly #store: BlobStore;
  readonly #shape: ModelShape;
  #adapter: AdapterState | null;
  /** By rank and structure: devices that need the same share a blob. */
  #blobs = new Map<string, Promise<BlobRef>>();
  #roots = new Set<string>();
  /** Of the adapter before: devices may still be fetching them while the next ones are made. */
  #oldRoots = new Set<string>();

  constructor(store: BlobStore, shape: ModelShape, adapter: AdapterState | null) {
    this.#store = store;
    this.#shape = shape;
    this.#adapter = adapter;
  }

  /** Takes another global adapter; the blobs of the one before the last are removed. */
  async replace(adapter: AdapterState): Promise<void> {
    const outdated = this.#oldRoots;
    this.#oldRoots = this.#roots;
    this.#roots = new Set();
    this.#blobs = new Map();
    this.#adapter = adapter;
    for (const root of outdated) if (!this.serves(root)) await this.#store.remove(root);
  }

  /** null before there is a global adapter. */
  async blobFor(cut: Cut): Promise<BlobRef | null> {
    const adapter = this.#adapter;
    if (adapter === null) return null;
    const key = `${cut.rank} ${encodeStructure(cut.structure, this.#shape.units)}`;
    const known = this.#blobs.get(key);
    if (known !== undefined) return known;
    const made = this.#make(adapter, cut);
    this.#blobs.set(key, made);
    return made;
  }

  /**
   * What an update was trained from, at its rank and with its units; null before there is an adapter. Devices that merge it into their
   * base train fresh factors, but go on with its heads.
   */
  startOf(
    { rank, structure }: { readonly rank: number; readonly structure: Structure },
    devicesMerge: boolean,
  ): AdapterState | null {
    if (this.#adapter === null) return null;
    if (devicesMerge) return { modules: [], heads: this.#adapter.heads };
    return narrow(this.#adapter, { rank, pruned: { shape: this.#shape, structure } });
  }

  /** True for what devices start from in this round, and for what they started from in the one before. */
  serves(root: string): boolean {
    return this.#roots.has(root) || this.#oldRoots.has(root);
  }

  async #make(adapter: AdapterState, { rank, structure, scores }: Cut): Promise<BlobRef> {
    const pruned = { shape: this.#shape, structure };
    const { modules, heads } = narrow(adapter, rank === null ? { pruned } : { rank, pruned });
    const structureText = encodeStructure(structure, this.#shape.units);
    const bytes = encodeAdapterFile({ modules, heads, structureText, scores });
    const roots = this.#roots;
    const blob = await this.#store.put(bytes);
    roots.add(blob.root);
    return blob;
  }
}
