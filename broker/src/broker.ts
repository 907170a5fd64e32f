/** Starts aedes behind TCP and WebSocket listeners with bounds on everything that a client can make it hold. */
import { Aedes } from "aedes";
import type { Client, Connection, ConnectPacket } from "aedes";
import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { accessPolicy } from "./access.ts";
import { parseConfig } from "./config.ts";
import type { BrokerConfig, BrokerConfigInput } from "./config.ts";
import { ConnectRate } from "./connect-rate.ts";
import { GuardedStream } from "./guarded-stream.ts";
import { Identities } from "./identities.ts";
import { listenTcp, listenWebSocket } from "./listeners.ts";
import type { Door, Listener, Peer } from "./listeners.ts";
import { openPolicy } from "./policy.ts";
import type { MessageRequest, Policy, Refusal, Session } from "./policy.ts";
import { applyQuotas } from "./quotas.ts";
import type { Persistence } from "./quotas.ts";
import { openRedis } from "./redis.ts";
import type { SharedParts } from "./redis.ts";

export interface BrokerStats {
  /** Open connections, those before CONNECT included. */
  readonly connections: number;
  /** Connected clients. */
  readonly clients: number;
  /** Messages that clients have published since the start. */
  readonly published: number;
  /** Payload bytes on their way to subscribers now. */
  readonly unroutedBytes: number;
  /** What was refused or dropped since the start, by reason. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface Broker {
  readonly host: string;
  readonly port: number;
  readonly wsPort: number | undefined;
  stats(): BrokerStats;
  /** Ends every connection and both listeners. */
  close(): Promise<void>;
}

const CONNACK_CODES: Record<Refusal, number> = {
  "identifier-rejected": 2,
  "too-many-sessions": 3,
  "bad-credentials": 4,
  "not-authorized": 5,
};

/** Rejects with BrokerConfigError for bad settings and with the system's error when a port is taken. */
export async function startBroker(input: BrokerConfigInput = {}, policy?: Policy): Promise<Broker> {
  const config = parseConfig(input);
  const { redis: url } = config;
  const shared = url === undefined ? null : await openRedis({ ...config, url });
  const core = new BrokerCore(config, policy ?? policyOf(config), shared);
  await core.start();
  const listeners: Listener[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(listeners.map((listener) => listener.stopAccepting()));
    await core.close();
    await Promise.all(listeners.map((listener) => listener.close()));
  };
  try {
    const tcp = await listenTcp(config, core);
    listeners.push(tcp);
    if (config.wsPort === undefined) return publicFace(core, config, tcp.port, undefined, close);
    const ws = await listenWebSocket({ ...config, wsPort: config.wsPort }, core);
    listeners.push(ws);
    return publicFace(core, config, tcp.port, ws.port, close);
  } catch (error) {
    await close();
    throw error;
  }
}

function policyOf({ access, maxRetainedBytes }: BrokerConfig): Policy {
  if (access === undefined) return openPolicy(maxRetainedBytes);
  const identities = new Identities(access.identities);
  return accessPolicy({ identities, roles: access.roles, maxRetainedBytes });
}

function publicFace(
  core: BrokerCore,
  { host }: BrokerConfig,
  port: number,
  wsPort: number | undefined,
  close: () => Promise<void>,
): Broker {
  return { host, port, wsPort, stats: () => core.stats(), close };
}

class BrokerCore implements Door {
  readonly #config: BrokerConfig;
  readonly #policy: Policy;
  readonly #rate: ConnectRate;
  readonly #aedes: Aedes;
  readonly #streams = new Map<Connection, GuardedStream>();
  readonly #connected = new Map<string, Client>();
  readonly #requests = new WeakMap<Client, ConnectPacket>();
  readonly #sessions = new WeakMap<Client, Session>();
  readonly #peers = new WeakMap<Connection, Peer>();
  /** Client ids of durable sessions. */
  readonly #durable = new Set<string>();
  readonly #refused: Record<string, number> = {};
  readonly #accessCheck: NodeJS.Timeout;
  readonly #shared: SharedParts | null;
  #published = 0;

  constructor(config: BrokerConfig, policy: Policy, shared: SharedParts | null) {
    this.#config = config;
    this.#policy = policy;
    this.#shared = shared;
    this.#rate = new ConnectRate(config.connectsPerSecond);
    this.#aedes = new Aedes({
      ...(shared === null ? {} : { mq: shared.emitter, persistence: shared.persistence }),
      // No limit on the number of messages under way: with one, a single stalled subscriber that holds that many stops
      // every other topic. The bytes of each publisher are bounded instead, in GuardedStream.
      concurrency: 0,
      drainTimeout: config.drainTimeoutMs,
      connectTimeout: config.connectTimeoutMs,
      keepaliveLimit: config.maxKeepaliveSeconds,
      queueLimit: 16,
      maxInflightInbound: 16,
      maxTopicLevels: 10,
      preConnect: (client, packet, done) => {
        this.#requests.set(client, packet);
        done(null, true);
      },
      authenticate: (client, username, password, done) => {
        const verdict = this.#connectVerdict(client, username, password);
        if (typeof verdict !== "string") {
          this.#sessions.set(client, verdict);
          this.#streams.get(client.conn)?.authenticate();
          return done(null, true);
        }
        this.#count(verdict);
        const returnCode = CONNACK_CODES[verdict];
        done(Object.assign(new Error(verdict), { returnCode }), false);
      },
      authorizePublish: (client, packet, done) => {
        if (client !== null) {
          if (this.#sessions.get(client)?.publish(messageOf(packet)) !== true) {
            this.#count("publish-refused");
            return done(new Error("publish refused"));
          }
          this.#streams.get(client.conn)?.routing(packet.payload.length);
        }
        this.#published += 1;
        done(null);
      },
      published: (packet, client, done) => {
        // aedes types the client as present, but its own messages have none.
        const publisher = client as Client | null;
        if (publisher !== null) this.#streams.get(publisher.conn)?.routed(packet.payload.length);
        done(null);
      },
      authorizeSubscribe: (client, subscription, done) => {
        const { topic, qos } = subscription;
        const isAllowed = this.#sessions.get(client)?.subscribe(topic, qos) === true;
        if (isAllowed) return done(null, subscription);
        this.#count("subscribe-refused");
        done(null, null);
      },
      authorizeForward: (client, packet) => {
        if (client.conn.writableLength <= config.maxUnsentBytes) return packet;
        this.#count("slow-reader");
        return null;
      },
    });
    this.#aedes.on("clientReady", (client) => this.#connected.set(client.id, client));
    this.#aedes.on("clientDisconnect", (client) => {
      // After a takeover the id belongs to the newer connection already.
      if (this.#connected.get(client.id) === client) this.#connected.delete(client.id);
    });
    this.#accessCheck = setInterval(() => this.#cutOffRevoked(), config.accessCheckMs);
    this.#aedes.on("keepaliveTimeout", () => this.#count("keepalive-timeout"));
    (this.#aedes as EventEmitter).on("error", () => this.#count("internal-error"));
    shared?.emitter.state.on("error", () => this.#count("redis-connection"));
  }

  async start(): Promise<void> {
    await this.#aedes.listen();
    // What is queued in Redis by one broker is taken out by another, so none of them could count it.
    if (this.#shared !== null) return;
    applyQuotas(
      (this.#aedes as Aedes & { persistence: Persistence }).persistence,
      this.#config,
      (clientId) => this.#connected.has(clientId),
      (reason) => this.#count(reason),
    );
  }

  admits(address: string): boolean {
    if (this.#rate.admits(address, performance.now())) return true;
    this.#count("connect-rate");
    return false;
  }

  onFull(): void {
    this.#count("too-many-connections");
  }

  onHandshakeFailed(): void {
    this.#count("tls-handshake-failed");
  }

  accept(stream: Duplex, peer: Peer): void {
    stream.on("error", () => stream.destroy());
    if (this.#streams.size >= this.#config.maxConnections) {
      this.onFull();
      stream.destroy();
      return;
    }
    const guarded = new GuardedStream(stream, {
      ...this.#config,
      onRefused: (verdict) => this.#count(verdict),
      onSlowed: () => this.#count("slowed-down"),
    });
    this.#streams.set(stream, guarded);
    this.#peers.set(stream, peer);
    stream.once("close", () => this.#streams.delete(stream));
    this.#aedes.handle(stream);
  }

  stats(): BrokerStats {
    return {
      connections: this.#streams.size,
      clients: this.#connected.size,
      published: this.#published,
      unroutedBytes: [...this.#streams.values()].reduce((sum, s) => sum + s.unroutedBytes, 0),
      refused: { ...this.#refused },
    };
  }

  async close(): Promise<void> {
    clearInterval(this.#accessCheck);
    await new Promise<void>((resolve) => this.#aedes.close(resolve));
    for (const stream of this.#streams.keys()) stream.destroy();
  }

  #connectVerdict(
    client: Client,
    username: string | undefined,
    password: Uint8Array | undefined,
  ): Refusal | Session {
    const packet = this.#requests.get(client);
    if (packet === undefined) return "not-authorized";
    const { clientId, clean = true, will } = packet;
    const verdict = this.#policy.connect({
      clientId,
      clean,
      username,
      password,
      will: will === undefined ? undefined : messageOf(will),
      certificate: this.#peers.get(client.conn)?.certificate,
    });
    if (typeof verdict === "string") return verdict;
    return this.#hasRoom(clientId, clean) ? verdict : "too-many-sessions";
  }

  /** A session lives on without its connection until its client connects with a clean one. */
  #hasRoom(clientId: string, clean: boolean): boolean {
    if (clean) {
      this.#durable.delete(clientId);
      return true;
    }
    const isKnown = this.#durable.has(clientId);
    if (!isKnown && this.#durable.size >= this.#config.maxSessions) return false;
    this.#durable.add(clientId);
    return true;
  }

  /** Its will is published first, under the rights that it had. */
  #cutOffRevoked(): void {
    for (const client of this.#connected.values()) {
      if (this.#sessions.get(client)?.isCurrent() !== false) continue;
      this.#count("revoked");
      client.close();
    }
  }

  #count(reason: string): void {
    this.#refused[reason] = (this.#refused[reason] ?? 0) + 1;
  }
}

function messageOf(packet: {
  readonly topic: string;
  readonly payload: { readonly length: number };
  readonly qos?: number;
  readonly retain?: boolean;
}): MessageRequest {
  const { topic, payload, qos = 0, retain = false } = packet;
  return { topic, payloadBytes: payload.length, qos, retain };
}
