/** The HTTPS door to the enrolment desk: small bodies, short patience, nothing else behind it. */
import { readFileSync } from "node:fs";
import { type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { TransportError } from "../base/errors.ts";
import type { EnrolmentDesk } from "./enrolment-desk.ts";
import { ENROLMENT_PATH, type EnrolmentAnswer, MAX_ENROLMENT_BYTES } from "./enrolment-messages.ts";
import type { TlsFiles } from "./fleet-folder.ts";

const MAX_CONNECTIONS = 64;
const PATIENCE_MS = 10_000;

const STATUS: Record<EnrolmentAnswer["state"], number> = {
  pending: 202,
  accepted: 200,
  rejected: 403,
  refused: 400,
};

export interface EnrolmentServer {
  readonly port: number;
  close(): Promise<void>;
}

export interface EnrolmentServerOptions {
  readonly desk: EnrolmentDesk;
  readonly files: TlsFiles;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
}

/** Rejects with TransportError when the port cannot be had. */
export async function serveEnrolment(options: EnrolmentServerOptions): Promise<EnrolmentServer> {
  const { desk, files, host, port } = options;
  const server = createServer(
    {
      cert: readFileSync(files.cert),
      key: readFileSync(files.key),
      minVersion: "TLSv1.2",
      handshakeTimeout: PATIENCE_MS,
    },
    (request, response) => void handle(desk, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.headersTimeout = PATIENCE_MS;
  server.requestTimeout = PATIENCE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new TransportError("cannot listen for enrolments", { cause, got: `${host}:${port}` })),
    );
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function handle(
  desk: EnrolmentDesk,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    if (request.method !== "POST" || request.url !== ENROLMENT_PATH) {
      finish(response, 404, { state: "refused", reason: "not-found" });
      return;
    }
    const body = await bodyOf(request);
    if (body === undefined) {
      finish(response, 413, { state: "refused", reason: "too-large" });
      return;
    }
    const answer = desk.answer(body, request.socket.remoteAddress ?? "");
    const isLimited = answer.state === "refused" && answer.reason === "too-many-attempts";
    finish(response, isLimited ? 429 : STATUS[answer.state], answer);
  } catch {
    // The disk refused or the connection broke; the device asks again.
    finish(response, 503, { state: "refused", reason: "unavailable" });
  }
}

function finish(response: ServerResponse, status: number, answer: EnrolmentAnswer): void {
  if (response.destroyed) return;
  response.writeHead(status, { "Content-Type": "application/json", Connection: "close" });
  response.end(JSON.stringify(answer));
}

/** undefined when there is more than anybody may send. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_ENROLMENT_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
