/** A TCP proxy on loopback that limits the rate, counts bytes and cuts links: an unreliable network for one broker. */
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";

export interface ProxyOptions {
  /** Port of the server behind the proxy, on 127.0.0.1. */
  readonly targetPort: number;
  /** Client to server. Default unlimited. */
  readonly upBytesPerSecond?: number;
  /** Server to client. Default unlimited. */
  readonly downBytesPerSecond?: number;
}

export interface ThrottleProxy {
  readonly port: number;
  /** Ends every connection without a goodbye, as a failing link does. */
  cut(): void;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly connections: number;
  close(): Promise<void>;
}

/** A limited direction passes on what takes so long, so that the rate is smooth and timers are not the limit. */
const PIECE_MS = 5;
/** Timers fire late; as much as this is caught up on, or a slow link would be a fifth slower than it says. */
const CATCH_UP_MS = 50;

export async function startThrottleProxy(options: ProxyOptions): Promise<ThrottleProxy> {
  const sockets = new Set<Socket>();
  const counts = { up: 0, down: 0, connections: 0 };
  const server = createServer((client) => {
    counts.connections += 1;
    const target = connect(options.targetPort, "127.0.0.1");
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    forward(client, target, options.upBytesPerSecond, (bytes) => (counts.up += bytes));
    forward(target, client, options.downBytesPerSecond, (bytes) => (counts.down += bytes));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    get bytesUp() {
      return counts.up;
    },
    get bytesDown() {
      return counts.down;
    },
    get connections() {
      return counts.connections;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}

function forward(
  from: Socket,
  to: Socket,
  bytesPerSecond: number | undefined,
  count: (bytes: number) => void,
): void {
  if (bytesPerSecond === undefined) {
    from.on("data", (chunk: Buffer) => count(chunk.byteLength));
    from.pipe(to);
    return;
  }
  const pieceBytes = Math.ceil((bytesPerSecond * PIECE_MS) / 1000);
  let freeAtMs = 0;
  from.on("data", (chunk: Buffer) => {
    from.pause();
    let sentBytes = 0;
    const next = (): void => {
      if (to.destroyed) return;
      const piece = chunk.subarray(sentBytes, sentBytes + pieceBytes);
      sentBytes += piece.byteLength;
      count(piece.byteLength);
      to.write(piece);
      const earliestMs = performance.now() - CATCH_UP_MS;
      freeAtMs = Math.max(freeAtMs, earliestMs) + (1000 * piece.byteLength) / bytesPerSecond;
      const then = sentBytes < chunk.byteLength ? next : (): void => void from.resume();
      setTimeout(then, freeAtMs - performance.now());
    };
    next();
  });
  from.on("end", () => to.end());
}
