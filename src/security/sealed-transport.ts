/** Connections whose control messages are sealed on the way out and checked on the way in; data frames pass as they are. */
import type { KeyObject } from "node:crypto";
import type { Rng } from "../base/rng.ts";
import { TransportError } from "../base/errors.ts";
import { MAX_CONTROL_BYTES, decodeControl } from "../protocol/envelope.ts";
import { type ParsedTopic, parseTopic } from "../protocol/topics.ts";
import type {
  ConnectOptions,
  MessageHandler,
  Transport,
  TransportFactory,
} from "../transport/transport.ts";
import { ReplayWindow } from "./replay-window.ts";
import {
  MAX_SEAL_BYTES,
  type SealHeader,
  type SessionId,
  isGenuine,
  seal,
  unseal,
} from "./seal.ts";

/** Why a message was not let in. */
export type SealRefusal =
  "unsealed" | "unknown-key" | "bad-signature" | "wrong-session" | "replayed" | "too-large";

/** A message that was not let in. */
export interface Refused {
  /** null when its topic is no device's. */
  readonly device: string | null;
  readonly reason: SealRefusal;
  readonly detail: string;
  /** The incarnation of the coordinator that a genuine message believes in; null for any other. */
  readonly epoch: number | null;
}

export type RefusalListener = (refused: Refused) => void;

/** What seals one process' messages. */
export interface MessageSeal {
  /** Connections of the factory with sealed control messages. */
  wrap(factory: TransportFactory, onRefused: RefusalListener): TransportFactory;
}

/** One end's rules, asked for control topics only. */
interface Party {
  readonly key: KeyObject;
  /** Key that messages on a topic must be signed with; null when nobody may. */
  keyOf(place: ParsedTopic): KeyObject | null;
  /** Session that a message on this topic is for. Throws TransportError while it is not known. */
  receiverOf(place: ParsedTopic): SessionId | null;
  /** Checks a genuine message against sessions and earlier ones. */
  judge(place: ParsedTopic, header: SealHeader, content: Uint8Array): SealRefusal | null;
}

export interface DeviceSealOptions {
  readonly signKey: KeyObject;
  /** Pinned at enrolment. */
  readonly coordinatorKey: KeyObject;
  /** Seeded by chance: it names the session. */
  readonly rng: Rng;
}

/**
 * A device takes commands that the coordinator has sealed for this very process start, each once, and announcements of the
 * coordinator's incarnation that are not older than the one it knows. It speaks to the incarnation that it has heard last.
 */
export function deviceSeal({ signKey, coordinatorKey, rng }: DeviceSealOptions): MessageSeal {
  const own = newSession(rng);
  const commands = new ReplayWindow();
  const announcements = new ReplayWindow();
  let epoch = 0;
  return sealOf(own, {
    key: signKey,
    keyOf: () => coordinatorKey,
    receiverOf: ({ channel }) => {
      if (channel !== "evt") return null;
      if (announcements.session !== null) return announcements.session;
      throw new TransportError("no coordinator has announced itself yet");
    },
    judge: ({ channel }, header, content) => {
      if (channel === "cmd") {
        if (header.to !== own) return "wrong-session";
        return commands.admit(header) ? null : "replayed";
      }
      const announced = epochIn(content) ?? 0;
      if (announced < epoch || !announcements.admitSession(header)) return "replayed";
      epoch = announced;
      return null;
    },
  });
}

export interface CoordinatorSealOptions {
  readonly signKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Key of an enrolled device; null for everybody else. */
  readonly keyOf: (device: string) => KeyObject | null;
  readonly rng: Rng;
}

/** The coordinator takes events that a device has sealed for this incarnation, each once, and its own kind's announcements. */
export function coordinatorSeal(options: CoordinatorSealOptions): MessageSeal {
  const { signKey, publicKey, keyOf, rng } = options;
  const own = newSession(rng);
  const windows = new Map<string, ReplayWindow>();
  return sealOf(own, {
    key: signKey,
    keyOf: ({ device }) => (device === undefined ? publicKey : keyOf(device)),
    receiverOf: ({ device }) => {
      if (device === undefined) return null;
      const session = windows.get(device)?.session;
      if (session !== null && session !== undefined) return session;
      throw new TransportError(`${device} has not been heard yet`);
    },
    judge: ({ channel, device }, header) => {
      if (channel !== "evt") return null;
      if (header.to !== own) return "wrong-session";
      const window = windows.get(device) ?? new ReplayWindow();
      windows.set(device, window);
      return window.admit(header) ? null : "replayed";
    },
  });
}

function newSession(rng: Rng): SessionId {
  const bytes = Uint8Array.from({ length: 12 }, () => rng.int(256));
  return Buffer.from(bytes).toString("base64url");
}

/** Control topics, whose messages are sealed. The others carry blobs, whose hashes stand in sealed messages. */
function controlPlace(topic: string): ParsedTopic | undefined {
  const place = parseTopic(topic);
  const { channel } = place ?? {};
  const isControl =
    channel === "cmd" || channel === "evt" || channel === "st" || channel === "epoch";
  return isControl ? place : undefined;
}

function sealOf(own: SessionId, party: Party): MessageSeal {
  let serial = 0;
  const close = (topic: string, place: ParsedTopic, content: Uint8Array): Uint8Array => {
    const to = party.receiverOf(place);
    return seal(content, topic, { from: own, serial: ++serial, to }, party.key);
  };
  const open = (topic: string, place: ParsedTopic, payload: Uint8Array): Uint8Array | Refused => {
    const refuse = (reason: SealRefusal, epoch: number | null = null): Refused => {
      const detail = `${payload.byteLength} bytes on ${place.channel}`;
      return { device: place.device ?? null, reason, detail, epoch };
    };
    if (payload.byteLength > MAX_CONTROL_BYTES + MAX_SEAL_BYTES) return refuse("too-large");
    const unsealed = unseal(payload);
    if (unsealed === undefined) return refuse("unsealed");
    const key = party.keyOf(place);
    if (key === null) return refuse("unknown-key");
    if (!isGenuine(unsealed, topic, key)) return refuse("bad-signature");
    const { header, content } = unsealed;
    const verdict = party.judge(place, header, content);
    return verdict === null ? content : refuse(verdict, epochIn(content));
  };
  return {
    wrap: (factory, onRefused) => ({
      async connect(options) {
        const inner = await factory.connect(withSealedWill(options, close));
        return sealedTransport(inner, close, (handler) => (topic, payload) => {
          const place = controlPlace(topic);
          if (place === undefined) return handler(topic, payload);
          // An empty retained message clears a topic and says nothing.
          if (payload.byteLength === 0) return;
          const opened = open(topic, place, payload);
          if (opened instanceof Uint8Array) handler(topic, opened);
          else onRefused(opened);
        });
      },
    }),
  };
}

function epochIn(content: Uint8Array): number | null {
  const control = decodeControl(content);
  return control.ok ? control.value.epoch : null;
}

type Close = (topic: string, place: ParsedTopic, content: Uint8Array) => Uint8Array;

function withSealedWill(options: ConnectOptions, close: Close): ConnectOptions {
  const { will } = options;
  const place = will === undefined ? undefined : controlPlace(will.topic);
  if (will === undefined || place === undefined) return options;
  return { ...options, will: { ...will, payload: close(will.topic, place, will.payload) } };
}

function sealedTransport(
  inner: Transport,
  close: Close,
  opening: (handler: MessageHandler) => MessageHandler,
): Transport {
  return {
    get clientId() {
      return inner.clientId;
    },
    get state() {
      return inner.state;
    },
    publish: async (topic, payload, options) => {
      const place = controlPlace(topic);
      const isSealed = place !== undefined && payload.byteLength > 0;
      await inner.publish(topic, isSealed ? close(topic, place, payload) : payload, options);
    },
    subscribe: (filter, handler) => inner.subscribe(filter, opening(handler)),
    unsubscribe: (filter) => inner.unsubscribe(filter),
    onState: (listener) => inner.onState(listener),
    close: () => inner.close(),
  };
}
