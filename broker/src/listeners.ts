/** The two ways in, TCP and WebSocket, with or without TLS; both hand a duplex stream and who is at its end to the broker. */
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import type { RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket, createServer as createTlsServer } from "node:tls";
import type { TlsOptions } from "node:tls";
import { WebSocketServer, createWebSocketStream } from "ws";
import { BrokerConfigError } from "./config.ts";
import type { BrokerConfig } from "./config.ts";
import type { PeerCertificate } from "./policy.ts";

/** Who is at the other end. */
export interface Peer {
  readonly address: string;
  readonly certificate: PeerCertificate | undefined;
}

export interface Door {
  /** Called for every connection before anything is read from it: false closes it at once. */
  admits(address: string): boolean;
  /** A connection beyond the number that the door holds was closed on arrival. */
  onFull(): void;
  accept(stream: Duplex, peer: Peer): void;
  /** A TLS handshake that failed. */
  onHandshakeFailed(): void;
}

export interface Listener {
  readonly port: number;
  /** Resolves when nothing new is accepted; open connections stay. */
  stopAccepting(): Promise<void>;
  /** Resolves when the last connection is gone. */
  close(): Promise<void>;
}

/** Subprotocol names of MQTT over WebSocket: the registered one and that of 3.1. */
const SUBPROTOCOLS = ["mqtt", "mqttv3.1"];
/** A WebSocket message may carry a packet and the start of the next. */
const FRAME_SLACK_BYTES = 4096;

export async function listenTcp(config: BrokerConfig, door: Door): Promise<Listener> {
  const tls = tlsOptions(config);
  const onSocket = (socket: Socket): void => {
    if (!socket.destroyed) door.accept(socket, peerOf(socket));
  };
  const server =
    tls === undefined
      ? createTcpServer({ noDelay: true }, onSocket)
      : createTlsServer({ ...tls, noDelay: true }, onSocket);
  return listening(server, door, config, config.port);
}

export async function listenWebSocket(
  config: BrokerConfig & { readonly wsPort: number },
  door: Door,
): Promise<Listener> {
  const tls = tlsOptions(config);
  const refuse: RequestListener = (_, response) => {
    response.writeHead(426, { Upgrade: "websocket" }).end("MQTT over WebSocket only\n");
  };
  const http = tls === undefined ? createHttpServer(refuse) : createHttpsServer(tls, refuse);
  http.headersTimeout = config.connectTimeoutMs;
  http.requestTimeout = config.connectTimeoutMs;
  const sockets = new WebSocketServer({
    server: http,
    perMessageDeflate: false,
    maxPayload: config.maxPacketBytes + FRAME_SLACK_BYTES,
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
    // Without this any page in a browser on this machine could reach a broker on loopback.
    verifyClient: ({ origin }: { origin: string | undefined }) =>
      origin === undefined || config.wsOrigins.includes(origin),
  });
  sockets.on("connection", (socket, request) => {
    door.accept(createWebSocketStream(socket), peerOf(request.socket));
  });
  return listening(http, door, config, config.wsPort);
}

/** A certificate of another authority ends the handshake; without one the client needs a token. */
function tlsOptions({ tls, connectTimeoutMs }: BrokerConfig): TlsOptions | undefined {
  if (tls === undefined) return undefined;
  return {
    cert: readPem(tls.cert),
    key: readPem(tls.key),
    ...(tls.ca === undefined ? {} : { ca: readPem(tls.ca), requestCert: true }),
    rejectUnauthorized: false,
    minVersion: "TLSv1.2",
    handshakeTimeout: connectTimeoutMs,
  };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new BrokerConfigError(`broker certificate file ${path} cannot be read`, { cause });
  }
}

/** Only a certificate that the authority has signed and that is valid today counts as one. */
function peerOf(socket: Socket): Peer {
  const address = socket.remoteAddress ?? "";
  const shown = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  if (!(socket instanceof TLSSocket) || shown === undefined) {
    return { address, certificate: undefined };
  }
  // An unusable certificate is no certificate, but also no reason to fall back on a token: its name matches nobody.
  const commonName = socket.authorized ? commonNameIn(shown.subject) : "";
  return { address, certificate: { commonName, fingerprint: shown.fingerprint256 } };
}

/** Exactly one CN; a name with several means nobody. */
function commonNameIn(subject: string): string {
  const names = subject.split("\n").filter((line) => line.startsWith("CN="));
  return names.length === 1 ? (names[0] ?? "").slice(3) : "";
}

async function listening(
  server: Server,
  door: Door,
  { host, maxConnections }: BrokerConfig,
  port: number,
): Promise<Listener> {
  server.maxConnections = maxConnections;
  server.on("drop", () => door.onFull());
  const turnedAway = new WeakSet<object>();
  server.prependListener("connection", (socket: Socket) => {
    socket.on("error", () => socket.destroy());
    if (door.admits(socket.remoteAddress ?? "")) return;
    turnedAway.add(socket);
    socket.destroy();
  });
  server.on("tlsClientError", (_: Error, { _parent: socket }: { _parent?: object }) => {
    if (socket === undefined || !turnedAway.has(socket)) door.onHandshakeFailed();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const { port: bound } = server.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    port: bound,
    async stopAccepting() {
      closed = new Promise((resolve) => server.close(() => resolve()));
    },
    async close() {
      await closed;
    },
  };
}
