/** The two ways in: TCP and WebSocket; both hand a duplex stream and the remote address to the broker. */
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer, createWebSocketStream } from "ws";

export type Accept = (stream: Duplex, address: string) => void;

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

export async function listenTcp(
  config: { readonly host: string; readonly port: number },
  accept: Accept,
): Promise<Listener> {
  const server = createTcpServer({ noDelay: true }, (socket) => {
    accept(socket, socket.remoteAddress ?? "");
  });
  return listening(server, config.host, config.port);
}

export async function listenWebSocket(
  config: {
    readonly host: string;
    readonly wsPort: number;
    readonly wsOrigins: readonly string[];
    readonly maxPacketBytes: number;
    readonly connectTimeoutMs: number;
  },
  accept: Accept,
): Promise<Listener> {
  const http = createHttpServer((_, response) => {
    response.writeHead(426, { Upgrade: "websocket" }).end("MQTT over WebSocket only\n");
  });
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
    accept(createWebSocketStream(socket), request.socket.remoteAddress ?? "");
  });
  return listening(http, config.host, config.wsPort);
}

async function listening(server: Server, host: string, port: number): Promise<Listener> {
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
