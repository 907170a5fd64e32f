/** The settings of the broker: their meaning, limits and defaults. */
import { readFileSync } from "node:fs";
import * as v from "valibot";

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65_535));
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));

const schema = v.strictObject({
  /** Address to listen on. Loopback by default: there is no authentication, so nobody else may reach it. */
  host: v.optional(v.pipe(v.string(), v.nonEmpty()), "127.0.0.1"),
  /** TCP port; 0 picks a free one. */
  port: v.optional(port, 1883),
  /** WebSocket port; 0 picks a free one. Absent: no WebSocket listener. */
  wsPort: v.exactOptional(port),
  /** Web pages, by origin, that may connect by WebSocket; a browser names its page, a device does not. */
  wsOrigins: v.optional(v.array(v.string()), []),
  /** Connections of both kinds together; more are closed on arrival. */
  maxConnections: v.optional(positive, 2000),
  /** New connections per second and remote address, with a burst of five seconds' worth. */
  connectsPerSecond: v.optional(positive, 100),
  /** Time from the first byte to a complete CONNECT. */
  connectTimeoutMs: v.optional(positive, 5000),
  /** Largest CONNECT packet, will included: all that an unknown client can make us hold. */
  maxConnectBytes: v.optional(positive, 4096),
  /** Largest packet of a connected client; a blob range with its header is about 66 000. */
  maxPacketBytes: v.optional(positive, 300_000),
  /** Longest keepalive a client may ask for; 0, which means never, is refused too. */
  maxKeepaliveSeconds: v.optional(positive, 300),
  /** How long one write to a subscriber may stay blocked before its connection is ended. */
  drainTimeoutMs: v.optional(positive, 20_000),
  /** Bytes of one publisher on their way to subscribers before its connection is read no further. */
  maxUnroutedBytes: v.optional(positive, 64 * 1024 * 1024),
  /** Messages kept for one absent durable session; later ones are dropped. */
  maxOfflineMessages: v.optional(positive, 1000),
  /** Bytes kept for one absent durable session. */
  maxOfflineBytes: v.optional(positive, 8 * 1024 * 1024),
  /** Largest retained payload. */
  maxRetainedBytes: v.optional(positive, 4096),
  /** Number of retained topics. */
  maxRetainedTopics: v.optional(positive, 10_000),
});

export type BrokerConfig = v.InferOutput<typeof schema>;
export type BrokerConfigInput = v.InferInput<typeof schema>;

/** A setting of the broker is unknown or out of range; the text names it. */
export class BrokerConfigError extends Error {
  override readonly name = "BrokerConfigError";
}

/** Fills in defaults. Throws BrokerConfigError naming the first setting that is wrong. */
export function parseConfig(input: unknown): BrokerConfig {
  const parsed = v.safeParse(schema, input);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "configuration";
  throw new BrokerConfigError(
    `broker setting ${path}: expected ${issue.expected ?? "something else"}, got ${issue.received}\n` +
      `hint: broker/README.md lists the settings`,
  );
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
