/** One end of the blob traffic: serves ranges of the blobs it may show, and pulls blobs from the other end. */
import type { Clock } from "../base/clock.ts";
import type { Rng } from "../base/rng.ts";
import { decodeFrame } from "../protocol/frame.ts";
import type { DeviceTopics, FleetTopics } from "../protocol/topics.ts";
import { parseTopic } from "../protocol/topics.ts";
import type { Transport } from "../transport/transport.ts";
import { BlobReceiver } from "./blob-receiver.ts";
import { BlobServer } from "./blob-server.ts";
import type { BlobRef, BlobStore } from "./blob-store.ts";

export interface DataPlaneOptions {
  /** Best a connection of its own, so that blobs do not hold up control messages. */
  readonly transport: Transport;
  readonly store: BlobStore;
  readonly clock: Clock;
  readonly rng: Rng;
  /** Which roots a device may download; on a device, which roots its coordinator may. Others are unknown to it. */
  readonly mayRead: (device: string, root: string) => boolean;
  /** A pull without any useful range for so long fails. Default 120 000. */
  readonly idleTimeoutMs?: number;
}

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
  /** Bytes that were not fetched: the whole blob, leaves of an earlier attempt, or leaves that another blob has too. */
  readonly resumedBytes: number;
  /** Received ranges that were of no use: duplicates, late answers, leaves that failed their hash. */
  readonly wastedBytes: number;
}

/** Download: the device pulls. Upload: the device offers a root in a control message and the coordinator pulls. */
export interface DataPlane {
  /**
   * Fetches a blob into the store, resuming what is there. Resolves once it is durable. Rejects with TransportError
   * when aborted, refused by the other end, too large, or without progress for too long; verified leaves are kept.
   */
  pull(options: PullOptions): Promise<PullReport>;
  /** Asks again at once for what was asked for: the other end has been restarted, say, and has forgotten it. */
  askAgain(): void;
  stats(): DataPlaneStats;
  /** Ends subscriptions and rejects pulls in progress; the transport stays open. */
  close(): Promise<void>;
}

export interface DataPlaneStats {
  /** Payload bytes sent in answer to requests. */
  readonly servedBytes: number;
  /** Messages that were dropped, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
}

const DEFAULT_IDLE_TIMEOUT_MS = 120_000;
/** A coordinator pulls from this many devices at once: 32 MiB of leaves at most. */
const COORDINATOR_PULLS = 32;
/** A device pulls its blobs one after the other: its link is the limit. */
const DEVICE_PULLS = 1;

/** The coordinator's end: serves downloads and pulls uploads of every device of the fleet. Subscribes two filters. */
export function createCoordinatorDataPlane(
  options: DataPlaneOptions & { readonly topics: FleetTopics },
): Promise<DataPlane> {
  const { topics } = options;
  return openDataPlane(options, {
    requests: topics.everyDevice("get"),
    answers: topics.everyDevice("put"),
    requestTopic: (device) => topics.device(device).ask,
    answerTopic: (device) => topics.device(device).blk,
    maxPulls: COORDINATOR_PULLS,
    // Updates of different devices share nothing, and there are many of them.
    adoptsLeaves: false,
  });
}

/**
 * A device's end: pulls downloads and serves uploads. Subscribes two topics. It has to be open before the device offers
 * an upload, or the coordinator's first requests are lost and repeated ten seconds later.
 */
export function createDeviceDataPlane(
  options: DataPlaneOptions & { readonly topics: DeviceTopics },
): Promise<DataPlane> {
  const { topics } = options;
  return openDataPlane(options, {
    requests: topics.ask,
    answers: topics.blk,
    requestTopic: () => topics.get,
    answerTopic: () => topics.put,
    maxPulls: DEVICE_PULLS,
    adoptsLeaves: true,
  });
}

interface Ends {
  /** Filters of incoming requests and answers. */
  readonly requests: string;
  readonly answers: string;
  /** Topics of outgoing requests and answers. */
  readonly requestTopic: (device: string) => string;
  readonly answerTopic: (device: string) => string;
  readonly maxPulls: number;
  readonly adoptsLeaves: boolean;
}

async function openDataPlane(options: DataPlaneOptions, ends: Ends): Promise<DataPlane> {
  const { transport, store, clock, rng, mayRead } = options;
  const idleTimeoutMs = options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS;
  // QoS 0: every range is asked for until it is here, so an acknowledgement per hop would only cost bytes.
  const publish = (topic: string, frame: Uint8Array): Promise<void> =>
    transport.publish(topic, frame, { qos: 0, retain: false });
  const server = new BlobServer({
    store,
    mayRead,
    reply: (device, frame) => publish(ends.answerTopic(device), frame),
  });
  const receiver = new BlobReceiver({
    store,
    clock,
    rng,
    send: (device, frame) => publish(ends.requestTopic(device), frame),
    maxPulls: ends.maxPulls,
    adoptsLeaves: ends.adoptsLeaves,
    idleTimeoutMs,
  });
  const dropped: Record<string, number> = {};
  const onMessage = (topic: string, payload: Uint8Array): void => {
    const device = parseTopic(topic)?.device;
    const decoded = decodeFrame(payload);
    if (device === undefined || !decoded.ok) {
      const reason = decoded.ok ? "topic" : decoded.reason;
      dropped[reason] = (dropped[reason] ?? 0) + 1;
    } else if (decoded.value.type === "request") {
      server.onRequest(device, decoded.value);
    } else {
      receiver.onFrame(device, decoded.value);
    }
  };
  const stopListening = transport.onState((state) => {
    if (state === "connected") receiver.onReconnect();
  });
  await transport.subscribe(ends.requests, onMessage);
  await transport.subscribe(ends.answers, onMessage);
  return {
    pull: (pullOptions) => receiver.pull(pullOptions),
    askAgain: () => receiver.onReconnect(),
    stats: () => ({
      servedBytes: server.stats.servedBytes,
      dropped: { ...dropped, "request-not-served": server.stats.dropped },
    }),
    async close() {
      stopListening();
      server.close();
      receiver.close();
      await transport.unsubscribe(ends.requests);
      await transport.unsubscribe(ends.answers);
    },
  };
}
