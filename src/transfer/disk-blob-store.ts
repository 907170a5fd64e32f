/** Blobs in a folder: durable before they become visible, resumable after a crash at any point. */
import { mkdir, open, readFile, readdir, rename, rm } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { TransportError } from "../base/errors.ts";
import { decodeManifest, isRoot, manifestOf } from "../protocol/manifest.ts";
import type { Manifest } from "../protocol/manifest.ts";
import type { BlobRef, BlobStore, PartialBlob } from "./blob-store.ts";
import { DiskPartialBlob } from "./disk-partial-blob.ts";
import { absent, syncFolder } from "./folder-durability.ts";

/** What a write leaves when it is cut short. */
const TEMPORARY = /\.new\d+$/;

/**
 * Files per blob: `<root>.manifest`, then `<root>.part` with `<root>.leaves` while incomplete, `<root>.blob` once complete.
 * A rename after fsync makes the step from one to the other, so a `.blob` is always whole.
 */
export class DiskBlobStore implements BlobStore {
  readonly #folder: string;
  readonly #open = new Set<string>();
  readonly #writing = new Set<string>();
  #serial = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Uses `folder`, creating it when absent. One process at a time may write to it. */
  static async at(folder: string): Promise<DiskBlobStore> {
    await mkdir(folder, { recursive: true });
    return new DiskBlobStore(folder);
  }

  /** Where the complete blob lies, for readers that want a file. */
  pathOf(root: string): string {
    return join(this.#folder, `${root}.blob`);
  }

  async has(root: string): Promise<boolean> {
    const handle = await this.#openBlob(root);
    await handle?.close();
    return handle !== undefined;
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const { root, sizeBytes, encoded } = manifestOf(bytes);
    if (!(await this.has(root))) {
      await this.#writeDurably(`${root}.manifest`, encoded);
      await this.#writeDurably(`${root}.blob`, bytes);
    }
    return { root, sizeBytes };
  }

  async manifest(root: string): Promise<Manifest | undefined> {
    if (!isRoot(root)) return undefined;
    const encoded = await readFile(join(this.#folder, `${root}.manifest`)).catch(absent);
    if (encoded === undefined) return undefined;
    const decoded = decodeManifest(encoded, root);
    return decoded.ok ? decoded.value : undefined;
  }

  async read(
    root: string,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<Uint8Array | undefined> {
    const handle = await this.#openBlob(root);
    if (handle === undefined) return undefined;
    try {
      const bytes = new Uint8Array(lengthBytes);
      const { bytesRead } = await handle.read(bytes, 0, lengthBytes, offsetBytes);
      return bytesRead === lengthBytes ? bytes : undefined;
    } finally {
      await handle.close();
    }
  }

  async readAll(root: string): Promise<Uint8Array> {
    const bytes = isRoot(root) ? await readFile(this.pathOf(root)).catch(absent) : undefined;
    if (bytes === undefined) throw new TransportError("blob is not in the store", { root });
    return bytes;
  }

  async open(manifest: Manifest): Promise<PartialBlob> {
    const { root } = manifest;
    if (this.#open.has(root)) throw new TransportError("blob is already open", { root });
    this.#open.add(root);
    try {
      await this.#writeDurably(`${root}.manifest`, manifest.encoded);
      return await DiskPartialBlob.open(this.#folder, manifest, () => this.#open.delete(root));
    } catch (error) {
      this.#open.delete(root);
      throw error;
    }
  }

  async remove(root: string): Promise<void> {
    if (!isRoot(root)) return;
    for (const kind of ["blob", "part", "leaves", "manifest"]) {
      await rm(join(this.#folder, `${root}.${kind}`), { force: true });
    }
  }

  async sweep(isKept: (root: string) => boolean): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const root = name.slice(0, name.indexOf("."));
      const isWanted = this.#open.has(root) || isKept(root);
      const isTemporary = TEMPORARY.test(name) && !this.#writing.has(name);
      if (!isWanted || isTemporary) await rm(join(this.#folder, name), { force: true });
    }
  }

  async list(): Promise<string[]> {
    const names = await readdir(this.#folder);
    return names
      .filter((name) => name.endsWith(".blob"))
      .map((name) => name.slice(0, -".blob".length))
      .filter(isRoot)
      .sort();
  }

  async #openBlob(root: string): Promise<FileHandle | undefined> {
    return isRoot(root) ? open(this.pathOf(root)).catch(absent) : undefined;
  }

  async #writeDurably(name: string, bytes: Uint8Array): Promise<void> {
    const temporary = `${name}.new${this.#serial++}`;
    this.#writing.add(temporary);
    try {
      const handle = await open(join(this.#folder, temporary), "w");
      try {
        await handle.writeFile(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(join(this.#folder, temporary), join(this.#folder, name));
    } finally {
      this.#writing.delete(temporary);
    }
    await syncFolder(this.#folder);
  }
}
