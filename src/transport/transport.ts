/** The messaging interface that everything above uses; its drivers are MQTT and an in-process broker. */

/** Hop guarantees of MQTT 3.1.1 that the project uses; QoS 2 has no use with idempotent messages. */
export type Qos = 0 | 1;

export interface PublishOptions {
  readonly qos: Qos;
  /** The broker keeps the last retained message of a topic; an empty payload clears it. */
  readonly retain: boolean;
}

/** Published by the broker when the connection ends without `close()`. */
export interface Will extends PublishOptions {
  readonly topic: string;
  readonly payload: Uint8Array;
}

/** Called once per message; `payload` belongs to the handler. What it throws is reported to `onFault`, not raised. */
export type MessageHandler = (topic: string, payload: Uint8Array) => void;

export type TransportState = "connected" | "disconnected";

/**
 * One connection that repairs itself: it reconnects with back-off and subscribes again on every connect, whatever
 * the broker says about the session, so retained messages arrive again after a reconnect.
 * An acknowledged QoS 1 message has reached the broker and nothing more: brokers acknowledge before they store.
 */
export interface Transport {
  readonly clientId: string;
  readonly state: TransportState;
  /**
   * QoS 0 resolves when the bytes are handed to the link, QoS 1 when the broker has acknowledged.
   * Rejects with TransportError while disconnected, or when the link drops before the acknowledgement: then the
   * message may or may not have arrived. Nothing is queued; repetition is the caller's, who knows what still matters.
   */
  publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void>;
  /**
   * Subscribes with QoS 1 (messages keep their own QoS when it is lower); resolves when the broker has granted it.
   * While disconnected it resolves at once and takes effect on the next connect. Rejects with TransportError when
   * the broker refuses, or when `filter` overlaps another of this connection (brokers differ in what they deliver).
   */
  subscribe(filter: string, handler: MessageHandler): Promise<void>;
  unsubscribe(filter: string): Promise<void>;
  /** Calls back on every later change; returns a function that stops it. */
  onState(listener: (state: TransportState) => void): () => void;
  /** Ends the connection in order: the will is not published, nothing reconnects. Safe to call twice. */
  close(): Promise<void>;
}

export interface ConnectOptions {
  /** Unique per broker: a second connection with the same id displaces the first. */
  readonly clientId: string;
  /** False keeps subscriptions and undelivered QoS 1 messages at the broker while the client is away. */
  readonly clean: boolean;
  readonly keepaliveSeconds: number;
  readonly will?: Will;
  /** How long the first connect is tried before it rejects; later ones never give up. Default 30 000. */
  readonly giveUpAfterMs?: number;
}

/** Opens connections to one broker; the only thing that differs between MQTT, tests and simulation. */
export interface TransportFactory {
  /**
   * Resolves with a connected transport. Rejects with TransportError after `giveUpAfterMs`, or at once when the broker
   * refuses for good (credentials, client id, protocol version).
   */
  connect(options: ConnectOptions): Promise<Transport>;
}
