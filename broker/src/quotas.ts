/** Bounds what the in-memory persistence of aedes keeps: queues of absent sessions and retained topics. */

/** The part of aedes' persistence that is bounded here; aedes publishes no type for it. */
export interface Persistence {
  outgoingEnqueueCombi(subs: readonly Subscriber[], packet: StoredPacket): Promise<void>;
  outgoingClearMessageId(
    client: { readonly id: string },
    packet: unknown,
  ): Promise<{ readonly payload?: Uint8Array } | undefined>;
  storeRetained(packet: StoredPacket): Promise<void>;
}

interface Subscriber {
  readonly clientId: string;
}

interface StoredPacket {
  readonly topic: string;
  readonly payload: Uint8Array;
}

export interface QuotaLimits {
  readonly maxOfflineMessages: number;
  readonly maxOfflineBytes: number;
  readonly maxQueuedBytes: number;
  readonly maxRetainedTopics: number;
}

/** What a queued message takes beside its payload: every session has a copy of its own of all the rest. */
const OVERHEAD_BYTES = 512;

/**
 * Replaces three methods of `persistence`. A connected client is exempt: its queue is bounded by the back-pressure on
 * publishers, and aedes ends a connection whose queue lacks a packet. Dropping is what MQTT brokers do when a
 * queue is full, after the acknowledgement.
 */
export function applyQuotas(
  persistence: Persistence,
  limits: QuotaLimits,
  isConnected: (clientId: string) => boolean,
  onDropped: (reason: "offline-queue-full" | "retained-full") => void,
): void {
  const enqueue = persistence.outgoingEnqueueCombi.bind(persistence);
  const clear = persistence.outgoingClearMessageId.bind(persistence);
  const retain = persistence.storeRetained.bind(persistence);
  let totalBytes = 0;
  const queues = new Map<string, { messages: number; bytes: number }>();
  const retainedTopics = new Set<string>();

  persistence.outgoingEnqueueCombi = (subs, packet) => {
    const { byteLength } = packet.payload;
    const kept = subs.filter(({ clientId }) => {
      const queue = queues.get(clientId) ?? { messages: 0, bytes: 0 };
      const fits =
        queue.messages < limits.maxOfflineMessages &&
        queue.bytes + byteLength <= limits.maxOfflineBytes &&
        totalBytes + byteLength + OVERHEAD_BYTES <= limits.maxQueuedBytes;
      if (!fits && !isConnected(clientId)) {
        onDropped("offline-queue-full");
        return false;
      }
      queue.messages += 1;
      queue.bytes += byteLength;
      totalBytes += byteLength + OVERHEAD_BYTES;
      queues.set(clientId, queue);
      return true;
    });
    return enqueue(kept, packet);
  };

  persistence.outgoingClearMessageId = async (client, packet) => {
    const cleared = await clear(client, packet);
    const queue = queues.get(client.id);
    if (cleared === undefined || queue === undefined) return cleared;
    // In a QoS 2 handshake a PUBREL has taken the message's place: then its share of what is left.
    const own = cleared.payload?.byteLength ?? queue.bytes / queue.messages;
    const bytes = queue.messages === 1 ? queue.bytes : Math.min(own, queue.bytes);
    queue.messages -= 1;
    queue.bytes -= bytes;
    totalBytes -= bytes + OVERHEAD_BYTES;
    if (queue.messages === 0) queues.delete(client.id);
    return cleared;
  };

  persistence.storeRetained = async (packet) => {
    if (packet.payload.byteLength === 0) retainedTopics.delete(packet.topic);
    else if (retainedTopics.size >= limits.maxRetainedTopics && !retainedTopics.has(packet.topic)) {
      onDropped("retained-full");
      return;
    } else retainedTopics.add(packet.topic);
    await retain(packet);
  };
}
