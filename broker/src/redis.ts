/** Several brokers that act as one through a Redis server: its packages are loaded only when the setting is there. */
import type { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import { BrokerConfigError } from "./config.ts";

/** What aedes takes in place of its own in-memory parts. */
export interface SharedParts {
  /** Sessions, queues and retained messages. */
  readonly persistence: object;
  /** Every message of every broker passes through it. */
  readonly emitter: Emitter;
}

interface Emitter {
  /** Reports lost connections to Redis as `error`. */
  readonly state: EventEmitter;
  close(done: () => void): void;
}

export interface RedisOptions {
  /** redis://[user:password@]host[:port][/database], rediss:// for TLS. */
  readonly url: string;
  readonly maxOfflineMessages: number;
  readonly offlineSeconds: number;
}

/**
 * Connects in the background; what is asked meanwhile waits. Throws BrokerConfigError when the optional packages
 * mqemitter-redis and aedes-persistence-redis are not installed.
 */
export async function openRedis(options: RedisOptions): Promise<SharedParts> {
  const { createEmitter, RedisPersistence } = await packages();
  const emitter = createEmitter({ ...connectionOf(options.url), matchEmptyLevels: true });
  const persistence = new RedisPersistence({
    conn: emitter.pubConn,
    maxSessionDelivery: options.maxOfflineMessages,
    packetTTL: () => options.offlineSeconds,
  });
  const retained = persistence.createRetainedStreamCombi.bind(persistence);
  return {
    // Written for another version of aedes: this one pipes what it gets here.
    persistence: Object.assign(persistence, {
      createRetainedStreamCombi: (filters: readonly string[]) => Readable.from(retained(filters)),
    }),
    emitter,
  };
}

type CreateEmitter = (options: object) => Emitter & { readonly pubConn: object };

async function packages() {
  try {
    const emitter = await import("mqemitter-redis");
    const { default: RedisPersistence } =
      await import("aedes-persistence-redis/asyncPersistence.js");
    // Its types say that the module is a function and leave out the members used here.
    return { createEmitter: emitter.default as unknown as CreateEmitter, RedisPersistence };
  } catch (cause) {
    throw new BrokerConfigError(
      `broker setting redis: mqemitter-redis and aedes-persistence-redis are not installed\n` +
        `hint: npm install --include=optional, or leave the setting out`,
      { cause },
    );
  }
}

function connectionOf(text: string): object {
  const url = new URL(text);
  const database = Number(url.pathname.slice(1));
  return {
    host: url.hostname,
    port: url.port === "" ? 6379 : Number(url.port),
    db: database,
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === "" ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === "rediss:" ? { tls: {} } : {}),
  };
}
