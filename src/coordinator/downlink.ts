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

/** What an update says of itself. */
export interface Origin {
  readonly rank: number;
  readonly structure: Structure;
  /** The round that its device was asked in. */
  readonly round: number;
}

export interface DownlinkOptions {
  readonly store: BlobStore;
  readonly shape: ModelShape;
  /** Global adapters by the round after which they were saved; the last one is the newest. */
  readonly adapters: ReadonlyMap<number, AdapterState>;
  /** How many adapters devices may start from: the newest and those that some are still at work on. */
  readonly depth: number;
}

/** One global adapter and what was made of it. */
interface Version {
  readonly adapter: AdapterState;
  /** By rank and structure: devices that need the same share a blob. */
  readonly blobs: Map<string, Promise<BlobRef>>;
  readonly roots: Set<string>;
}

export class Downlink {
  readonly #options: DownlinkOptions;
  readonly #versions = new Map<number, Version>();
  /** Of adapters that are no longer kept: devices may still be fetching them while the next ones are made. */
  #oldRoots = new Set<string>();

  constructor(options: DownlinkOptions) {
    this.#options = options;
    const known = [...options.adapters].sort(([a], [b]) => a - b).slice(-options.depth);
    for (const [round, adapter] of known) this.#versions.set(round, versionOf(adapter));
  }

  /** Takes the global adapter after `round`; the blobs of the one before the last that is kept are removed. */
  async replace(adapter: AdapterState, round: number): Promise<void> {
    const { store, depth } = this.#options;
    this.#versions.delete(round);
    this.#versions.set(round, versionOf(adapter));
    const outdated = this.#oldRoots;
    this.#oldRoots = new Set();
    for (const [old, { roots }] of [...this.#versions].slice(0, -depth)) {
      this.#versions.delete(old);
      for (const root of roots) this.#oldRoots.add(root);
    }
    for (const root of outdated) if (!this.serves(root)) await store.remove(root);
  }

  /** What a device that was asked in `round` starts from; null for fresh factors. */
  async blobFor(cut: Cut, round: number): Promise<BlobRef | null> {
    const version = this.#versionFor(round);
    if (version === null) return null;
    const key = `${cut.rank} ${encodeStructure(cut.structure, this.#options.shape.units)}`;
    const known = version.blobs.get(key);
    if (known !== undefined) return known;
    const made = this.#make(version, cut);
    version.blobs.set(key, made);
    return made;
  }

  /**
   * What an update was trained from, at its rank and with its units; null for fresh factors. Devices that merge it into their base
   * train fresh factors, but go on with its heads.
   */
  startOf({ rank, structure, round }: Origin, devicesMerge: boolean): AdapterState | null {
    const adapter = this.#versionFor(round)?.adapter ?? null;
    if (adapter === null) return null;
    if (devicesMerge) return { modules: [], heads: adapter.heads };
    return narrow(adapter, { rank, pruned: { shape: this.#options.shape, structure } });
  }

  /** The newest adapter with the units of `structure`, in all its directions; null before there is one. */
  newest(structure: Structure): AdapterState | null {
    const adapter = [...this.#versions.values()].at(-1)?.adapter ?? null;
    return adapter && narrow(adapter, { pruned: { shape: this.#options.shape, structure } });
  }

  /** True for what devices start from, and for what they started from in the round before that. */
  serves(root: string): boolean {
    if (this.#oldRoots.has(root)) return true;
    return [...this.#versions.values()].some(({ roots }) => roots.has(root));
  }

  /** The newest of the adapters saved before `round` began. */
  #versionFor(round: number): Version | null {
    const older = [...this.#versions].filter(([after]) => after < round);
    return older.at(-1)?.[1] ?? null;
  }

  async #make({ adapter, roots }: Version, { rank, structure, scores }: Cut): Promise<BlobRef> {
    const { shape, store } = this.#options;
    const pruned = { shape, structure };
    const { modules, heads } = narrow(adapter, rank === null ? { pruned } : { rank, pruned });
    const structureText = encodeStructure(structure, shape.units);
    const bytes = encodeAdapterFile({ modules, heads, structureText, scores });
    const blob = await store.put(bytes);
    roots.add(blob.root);
    return blob;
  }
}

function versionOf(adapter: AdapterState): Version {
  return { adapter, blobs: new Map(), roots: new Set() };
}
