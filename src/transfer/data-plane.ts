/** One end of the blob traffic: serves ranges of the blobs it may show, and pulls blobs from the other end. */
import type { BlobRef } from "./blob-store.ts";

export interface PullProgress {
  /** Verified bytes so far, those of an earlier attempt included. */
  readonly haveBytes: number;
  readonly sizeBytes: number;
}

export interface PullOptions {
  /** The device to pull from; on a device itself always its own id, since the other end is its coordinator. */
  readonly device: string;
  readonly blob: BlobRef;
  /** Refuses a larger blob before anything is allocated. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
}

export interface PullReport {
  /** Payload bytes received over the network, manifest included; 0 when the blob was already here. */
  readonly receivedBytes: number;
  /** Bytes that were here before the pull: the whole blob, or the leaves of an earlier attempt. */
  readonly resumedBytes: number;
  /** Received ranges that were of no use: duplicates, late answers, leaves that failed their hash. */
  readonly wastedBytes: number;
}

/**
 * `createCoordinatorDataPlane` and `createDeviceDataPlane` build one over a Transport, a BlobStore, a Clock and an Rng.
 * Download: the device pulls. Upload: the device offers a root in a control message and the coordinator pulls.
 */
export interface DataPlane {
  /**
   * Fetches a blob into the store, resuming what is there. Resolves once it is durable. Rejects with TransportError
   * when aborted, refused by the other end, too large, or without progress for too long; verified leaves are kept.
   */
  pull(options: PullOptions): Promise<PullReport>;
  /** Ends subscriptions and rejects pulls in progress; the transport stays open. */
  close(): Promise<void>;
}
