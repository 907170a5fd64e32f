/** Leaves that a store already holds in other blobs: what of a new blob need not be fetched. */
import { LEAF_BYTES, leafBytesOf, leafHash, leafMatches } from "../protocol/manifest.ts";
import type { BlobStore, PartialBlob } from "./blob-store.ts";

/**
 * Writes every leaf of `partial` that some complete blob of `store` has too, at whatever place. Each is hashed again, so a
 * damaged blob cannot spread. Returns the bytes written. Reads the manifest of every blob of the store.
 */
export async function adoptKnownLeaves(store: BlobStore, partial: PartialBlob): Promise<number> {
  const { manifest } = partial;
  const wanted = new Map<string, number[]>();
  for (let i = 0; i < manifest.leafCount; i++) {
    if (partial.hasLeaf(i)) continue;
    const hash = leafHash(manifest, i);
    wanted.set(hash, [...(wanted.get(hash) ?? []), i]);
  }
  let adoptedBytes = 0;
  for (const root of await store.list()) {
    if (wanted.size === 0) break;
    const other = await store.manifest(root);
    if (other === undefined) continue;
    for (let j = 0; j < other.leafCount; j++) {
      const hash = leafHash(other, j);
      const places = wanted.get(hash);
      if (places === undefined) continue;
      const lengthBytes = leafBytesOf(other.sizeBytes, j);
      const bytes = await store.read(root, j * LEAF_BYTES, lengthBytes);
      const isGood = (i: number): boolean => bytes !== undefined && leafMatches(manifest, i, bytes);
      if (bytes === undefined || !places.every(isGood)) continue;
      for (const i of places) {
        await partial.writeLeaf(i, bytes);
        adoptedBytes += lengthBytes;
      }
      wanted.delete(hash);
    }
  }
  return adoptedBytes;
}
