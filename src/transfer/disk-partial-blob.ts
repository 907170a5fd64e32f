/** An incomplete blob on disk: leaves at their place in one file, and a bitmap of those that are written. */
import { constants } from "node:fs";
import { open, readFile, rename, rm, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { LEAF_BYTES, leafBytesOf, leafMatches } from "../protocol/manifest.ts";
import type { Manifest } from "../protocol/manifest.ts";
import { missingLeaves } from "./blob-store.ts";
import type { PartialBlob } from "./blob-store.ts";
import { absent, syncFolder } from "./folder-durability.ts";

/** The bitmap is saved after so many leaves; a crash costs at most these, 2 MiB. */
const LEAVES_PER_SAVE = 32;

/** The bitmap is a hint and the hash the proof: leaves it claims are hashed again on `open`, so it needs no fsync. */
export class DiskPartialBlob implements PartialBlob {
  readonly manifest: Manifest;
  readonly #folder: string;
  readonly #file: FileHandle;
  readonly #onEnd: () => void;
  readonly #bits: Uint8Array;
  #unsaved = 0;
  #ended = false;

  private constructor(
    folder: string,
    manifest: Manifest,
    file: FileHandle,
    bits: Uint8Array,
    onEnd: () => void,
  ) {
    this.#folder = folder;
    this.manifest = manifest;
    this.#file = file;
    this.#bits = bits;
    this.#onEnd = onEnd;
  }

  /** Starts or resumes; `onEnd` is called once by `commit` or `close`. */
  static async open(
    folder: string,
    manifest: Manifest,
    onEnd: () => void,
  ): Promise<DiskPartialBlob> {
    const path = join(folder, manifest.root);
    const claimed = await readFile(`${path}.leaves`).catch(absent);
    const file = await open(`${path}.part`, constants.O_RDWR | constants.O_CREAT, 0o644);
    try {
      const bits = new Uint8Array(Math.ceil(manifest.leafCount / 8));
      const partial = new DiskPartialBlob(folder, manifest, file, bits, onEnd);
      if (claimed?.byteLength === bits.byteLength) await partial.#verify(claimed);
      return partial;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  hasLeaf(index: number): boolean {
    return hasBit(this.#bits, index);
  }

  async writeLeaf(index: number, bytes: Uint8Array): Promise<void> {
    await this.#file.write(bytes, 0, bytes.byteLength, index * LEAF_BYTES);
    setBit(this.#bits, index);
    this.#unsaved += 1;
    if (this.#unsaved >= LEAVES_PER_SAVE) await this.#save();
  }

  async commit(): Promise<void> {
    for (let i = 0; i < this.manifest.leafCount; i++) {
      if (!this.hasLeaf(i)) throw missingLeaves(this.manifest);
    }
    // A blob of no bytes has no leaf whose write would have set the length.
    await this.#file.truncate(this.manifest.sizeBytes);
    await this.#file.sync();
    await this.#end();
    const path = join(this.#folder, this.manifest.root);
    await rename(`${path}.part`, `${path}.blob`);
    await syncFolder(this.#folder);
    await rm(`${path}.leaves`, { force: true });
  }

  async close(): Promise<void> {
    if (this.#ended) return;
    await this.#save();
    await this.#end();
  }

  async #verify(claimed: Uint8Array): Promise<void> {
    const buffer = new Uint8Array(LEAF_BYTES);
    for (let i = 0; i < this.manifest.leafCount; i++) {
      if (!hasBit(claimed, i)) continue;
      const leaf = buffer.subarray(0, leafBytesOf(this.manifest.sizeBytes, i));
      const { bytesRead } = await this.#file.read(leaf, 0, leaf.byteLength, i * LEAF_BYTES);
      if (bytesRead === leaf.byteLength && leafMatches(this.manifest, i, leaf)) {
        setBit(this.#bits, i);
      }
    }
  }

  async #save(): Promise<void> {
    this.#unsaved = 0;
    await writeFile(join(this.#folder, `${this.manifest.root}.leaves`), this.#bits);
  }

  async #end(): Promise<void> {
    this.#ended = true;
    await this.#file.close();
    this.#onEnd();
  }
}

function hasBit(bits: Uint8Array, index: number): boolean {
  return ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;
}

function setBit(bits: Uint8Array, index: number): void {
  bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
}
