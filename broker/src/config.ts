/** The settings of the broker: their meaning, limits and defaults. */
import { readFileSync } from "node:fs";
import { isIPv4 } from "node:net";
import * as v from "valibot";

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));

const path = v.pipe(v.string(), v.nonEmpty());
const patterns = v.array(v.pipe(v.string(), v.nonEmpty()));

const tlsSchema = v.strictObject({
  /** PEM files of the broker's own certificate and key. */
  cert: path,
  key: path,
  /** PEM file of the authority whose client certificates count; absent: clients show none. */
  ca: v.exactOptional(path),
});

const accessSchema = v.strictObject({
  /** Folder with one JSON file per identity. */
  identities: path,
  /** What the roles of identities may do; see `Role` in access.ts. */
  roles: v.record(
    v.string(),
    v.strictObject({
      clientIds: patterns,
      publish: patterns,
      retain: v.optional(patterns, []),
      subscribe: patterns,
    }),
  ),
});

const schema = v.strictObject({
  /** Address to listen on. Beyond loopback only with `tls` and `access`, or with `insecure`. */
  host: v.optional(v.pipe(v.string(), v.nonEmpty()), "127.0.0.1"),
  /** TCP port; 0 picks a free one. Absent: 8883 with TLS, else 1883. */
  port: v.exactOptional(port),
  /** TLS on both doors: mqtts and wss. */
  tls: v.exactOptional(tlsSchema),
  /** Who may come in and do what. Absent: everybody, everything. */
  access: v.exactOptional(accessSchema),
  /** Listen beyond loopback although anybody who reaches the port could read and write everything. */
  insecure: v.optional(v.boolean(), false),
  /** WebSocket port; 0 picks a free one. Absent: no WebSocket listener. */
  wsPort: v.exactOptional(port),
  /** Web pages, by origin, that may connect by WebSocket; a browser names its page, a device does not. */
  wsOrigins: v.optional(v.array(v.string()), []),
  /** Redis server that makes several brokers one: redis:// or rediss://. Absent: everything is held in memory. */
  redis: v.exactOptional(v.pipe(v.string(), v.regex(/^rediss?:\/\/[^/]+(\/\d*)?$/))),
  /** With `redis`: how long a message waits for an absent session. */
  offlineSeconds: v.optional(positive, 3600),
  /** Connections of both kinds together; more are closed on arrival. */
  maxConnections: v.optional(positive, 2000),
  /** New connections per second and remote address, with a burst of five seconds' worth. */
  connectsPerSecond: v.optional(positive, 100),
  /** Packets per second of one client before it is read more slowly; two seconds' worth may come at once. */
  maxPacketsPerSecond: v.optional(positive, 20_000),
  /** The same in bytes. */
  maxBytesPerSecond: v.optional(positive, 512 * 1024 * 1024),
  /** Time from the first byte to a complete CONNECT. */
  connectTimeoutMs: v.optional(positive, 5000),
  /** Largest CONNECT packet, will included: all that an unknown client can make us hold. */
  maxConnectBytes: v.optional(positive, 4096),
  /** Largest packet of a connected client; a blob range with its header is about 66 000. */
  maxPacketBytes: v.optional(positive, 300_000),
  /** Longest keepalive a client may ask for; then 0, which means never, is refused too. 0: any, never included. */
  maxKeepaliveSeconds: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 300),
  /** How long one write to a subscriber may stay blocked before its connection is ended. */
  drainTimeoutMs: v.optional(positive, 20_000),
  /** Bytes of one publisher on their way to subscribers before its connection is read no further. */
  maxUnroutedBytes: v.optional(positive, 64 * 1024 * 1024),
  /** Bytes waiting for one subscriber's socket; beyond that its messages are dropped until it has read. */
  maxUnsentBytes: v.optional(positive, 8 * 1024 * 1024),
  /** How often rights are looked at again, so that who has lost them is cut off. */
  accessCheckMs: v.optional(positive, 500),
  /** Durable sessions, absent ones included; a client that wants one more is refused. */
  maxSessions: v.optional(positive, 2000),
  /** Messages kept for one absent durable session; later ones are dropped. */
  maxOfflineMessages: v.optional(positive, 1000),
  /** Bytes kept for one absent durable session. */
  maxOfflineBytes: v.optional(positive, 8 * 1024 * 1024),
  /** Bytes kept for all absent durable sessions together, with 512 for every message. */
  maxQueuedBytes: v.optional(positive, 32 * 1024 * 1024),
  /** Largest retained payload. */
  maxRetainedBytes: v.optional(positive, 4096),
  /** Number of retained topics. */
  maxRetainedTopics: v.optional(positive, 10_000),
});

export type BrokerConfig = v.InferOutput<typeof schema> & { readonly port: number };
export type BrokerConfigInput = v.InferInput<typeof schema>;

/** A setting of the broker is unknown or out of range; the text names it. */
export class BrokerConfigError extends Error {
  override readonly name = "BrokerConfigError";
}

/** Fills in defaults. Throws BrokerConfigError naming the first setting that is wrong. */
export function parseConfig(input: unknown): BrokerConfig {
  const parsed = v.safeParse(schema, input);
  if (parsed.success) {
    const { tls, port: chosen = tls === undefined ? 1883 : 8883 } = parsed.output;
    const config = { ...parsed.output, port: chosen };
    expectProtection(config);
    return config;
  }
  const [issue] = parsed.issues;
  const place = v.getDotPath(issue) ?? "configuration";
  throw new BrokerConfigError(
    `broker setting ${place}: expected ${issue.expected ?? "something else"}, got ${issue.received}\n` +
      `hint: broker/README.md lists the settings`,
  );
}

/** Refuses to open an unprotected door to a network. */
function expectProtection({ host, tls, access, insecure }: BrokerConfig): void {
  const lacking = [
    ...(tls === undefined ? ["TLS (tls)"] : []),
    ...(access === undefined ? ["authentication (access)"] : []),
  ];
  if (insecure || lacking.length === 0 || isLoopback(host)) return;
  throw new BrokerConfigError(
    `broker setting host: ${host} is reachable from the network, and ${lacking.join(" and ")} is missing\n` +
      `hint: give both, listen on 127.0.0.1, or say --insecure if everybody there may read and write everything`,
  );
}

/** Addresses that only this machine reaches; a name other than localhost may mean anything. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** Reads a JSON file of settings. Throws BrokerConfigError when it cannot be read or is not JSON. */
export function readConfigFile(path: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return { ...parsed };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BrokerConfigError(`broker configuration ${path} cannot be read: ${reason}`, {
      cause,
    });
  }
  throw new BrokerConfigError(`broker configuration ${path}: expected one JSON object`);
}
