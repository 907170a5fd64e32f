/** Base models on the device's disk, each laid out as a folder of files by name and never fetched twice. */
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { TransportError } from "../base/errors.ts";
import type { TrainTask } from "../protocol/messages.ts";
import type { BlobRef, BlobStore } from "../transfer/blob-store.ts";

export type BaseFiles = TrainTask["base"]["files"];

export interface BaseCacheOptions {
  readonly folder: string;
  readonly store: BlobStore;
  /** The file of a complete blob, when the store keeps one: then no second copy is made. */
  readonly pathOf: ((root: string) => string) | null;
  /** Room for all base models; the longest unused make way. */
  readonly maxBytes: number;
}

/** What a device needs of its base models. */
export type Bases = Pick<BaseCache, "ensure" | "roots">;

/** Lists the files of a laid out base; its name cannot clash with theirs, which never start with a dot. */
const CONTENTS = ".files.json";
const PART = ".part";

export class BaseCache {
  readonly #options: BaseCacheOptions;

  constructor(options: BaseCacheOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true });
  }

  /** Total size of a base in bytes. */
  static sizeOf(files: BaseFiles): number {
    return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }

  /** The folder of a base, fetching with `pull` what is not here. Rejects with what `pull` rejects with, or TransportError. */
  async ensure(files: BaseFiles, pull: (blob: BlobRef) => Promise<void>): Promise<string> {
    const path = join(this.#options.folder, keyOf(files));
    if (existsSync(path)) {
      utimesSync(path, new Date(), new Date());
      return path;
    }
    await this.#makeRoom(BaseCache.sizeOf(files));
    for (const { root, sizeBytes } of files) await pull({ root, sizeBytes });
    const part = path + PART;
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part);
    for (const { name, root } of files) await this.#place(root, join(part, name));
    writeFileSync(join(part, CONTENTS), JSON.stringify(files));
    renameSync(part, path);
    return path;
  }

  /** Roots of all files of all bases that are laid out. */
  roots(): string[] {
    return this.#laidOut().flatMap(({ files }) => files.map(({ root }) => root));
  }

  /** Every base here, the last used first. */
  #laidOut(): { path: string; files: BaseFiles }[] {
    const { folder } = this.#options;
    return readdirSync(folder)
      .filter((name) => !name.endsWith(PART))
      .map((name) => ({ path: join(folder, name), usedMs: statSync(join(folder, name)).mtimeMs }))
      .sort((a, b) => b.usedMs - a.usedMs)
      .map(({ path }) => ({
        path,
        files: JSON.parse(readFileSync(join(path, CONTENTS), "utf8")) as BaseFiles,
      }));
  }

  async #place(root: string, path: string): Promise<void> {
    const { store, pathOf } = this.#options;
    if (pathOf === null) {
      writeFileSync(path, await store.readAll(root));
      return;
    }
    try {
      linkSync(pathOf(root), path);
    } catch {
      // Some file systems of memory cards have no links.
      copyFileSync(pathOf(root), path);
    }
  }

  async #makeRoom(neededBytes: number): Promise<void> {
    const { maxBytes, store } = this.#options;
    if (neededBytes > maxBytes) {
      throw new TransportError("the base model is too large for this device", {
        expected: `at most ${maxBytes} bytes`,
        got: `${neededBytes} bytes`,
        hint: "raise maxBaseBytes if there is room on the disk",
      });
    }
    let totalBytes = neededBytes;
    for (const { path, files } of this.#laidOut()) {
      totalBytes += BaseCache.sizeOf(files);
      if (totalBytes <= maxBytes) continue;
      rmSync(path, { recursive: true });
      for (const { root } of files) await store.remove(root);
    }
  }
}

function keyOf(files: BaseFiles): string {
  const parts = files.map(({ name, root }) => `${name}:${root}`).sort();
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 32);
}
