/** The device's side of an enrolment: shows its code to the one server that the code names, and waits for the decision. */
import type { X509Certificate } from "node:crypto";
import { request as httpsRequest } from "node:https";
import { type TLSSocket, connect } from "node:tls";
import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError, TransportError } from "../base/errors.ts";
import type { CredentialStore } from "./device-credentials.ts";
import { type EnrolmentCode, serverFingerprint } from "./enrolment-code.ts";
import {
  ENROLMENT_PATH,
  type EnrolmentAnswer,
  type EnrolmentDemand,
  MAX_ENROLMENT_BYTES,
  enrolmentDemand,
  readAnswer,
} from "./enrolment-messages.ts";

export interface EnrolmentOptions {
  /** https://host:port of the enrolment server. */
  readonly url: string;
  readonly code: EnrolmentCode;
  /** The wished id; null = the server draws one. */
  readonly device: string | null;
  readonly type: string;
  readonly store: CredentialStore;
  readonly pollMs: number;
  /** Called once, when somebody has to accept the device first. */
  readonly onPending: (device: string) => void;
  readonly signal?: AbortSignal;
}

/** How long one exchange may take. */
const EXCHANGE_MS = 15_000;

/** Why a server refuses, in words. */
const REFUSALS: Readonly<Record<string, string>> = {
  "wrong-code": "the code is unknown, used up or older than it may be",
  "id-taken": "another device has this id; a code made for it (--device) may replace it",
  "bad-proof": "the proofs of the keys do not hold",
};

/**
 * Enrols and keeps what it gets in the store; resolves with the id. Rejects with TransportError when the server cannot be
 * reached at the first try or is not the one of the code, and with ConfigError when the enrolment is turned down.
 */
export async function enrol(options: EnrolmentOptions): Promise<string> {
  const { code, device, type, store, pollMs, onPending, signal } = options;
  const demand = enrolmentDemand({ secret: code.secret, device, type }, store.nextKeys());
  let isPending = false;
  for (;;) {
    const answer = await exchange(options, demand).catch((error: unknown) => {
      // While a person decides, a link may come and go.
      if (isPending && error instanceof TransportError) return undefined;
      throw error;
    });
    if (answer?.state === "accepted") {
      store.save(answer);
      return answer.device;
    }
    if (answer?.state === "rejected") {
      store.forgetNext();
      throw new ConfigError(`the enrolment of ${answer.device} was turned down`);
    }
    if (answer?.state === "refused") {
      const isOver = answer.reason in REFUSALS;
      if (isOver || !isPending) {
        throw new ConfigError("the enrolment was refused", {
          got: REFUSALS[answer.reason] ?? answer.reason,
          hint: "fedspine enroll on the coordinator's machine prints a new code",
        });
      }
    }
    if (answer?.state === "pending" && !isPending) {
      isPending = true;
      onPending(answer.device);
    }
    await sleep(pollMs, undefined, signal === undefined ? {} : { signal });
  }
}

async function exchange(
  { url, code }: EnrolmentOptions,
  demand: EnrolmentDemand,
): Promise<EnrolmentAnswer> {
  const { host, port } = addressIn(url);
  const socket = await verifiedSocket(host, port, code.fingerprint);
  try {
    const answer = readAnswer(await post(socket, JSON.stringify(demand)));
    if (answer !== undefined) return answer;
    throw new TransportError("the enrolment server gave no answer that can be read", { got: url });
  } finally {
    socket.destroy();
  }
}

/** No authority is asked: the server has to prove the very key that the code names, before it is told anything. */
function verifiedSocket(host: string, port: number, fingerprint: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, minVersion: "TLSv1.2" });
    const fail = (details: { cause?: unknown; got?: string; hint?: string }): void => {
      socket.destroy();
      const what = "cannot enrol over this connection";
      reject(new TransportError(what, { ...details, server: `${host}:${port}` }));
    };
    socket.setTimeout(EXCHANGE_MS, () => fail({ got: `no answer from ${host}:${port}` }));
    socket.once("error", (cause) => fail({ cause }));
    socket.once("secureConnect", () => {
      const certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
      if (certificate !== undefined && serverFingerprint(certificate) === fingerprint) {
        return resolve(socket);
      }
      fail({
        got: `a server with another key than the code names, at ${host}:${port}`,
        hint: "check the code and the address; otherwise somebody stands in between",
      });
    });
  });
}

function post(socket: TLSSocket, body: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(new TransportError("the enrolment server broke off", { cause }));
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
    };
    const sent = httpsRequest(
      { method: "POST", path: ENROLMENT_PATH, headers, createConnection: () => socket },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.byteLength;
          if (bytes > 4 * MAX_ENROLMENT_BYTES) response.destroy();
          else chunks.push(chunk);
        });
        response.once("error", fail);
        response.once("close", () => {
          if (response.complete) resolve(Buffer.concat(chunks));
          else fail(undefined);
        });
      },
    );
    sent.once("error", fail);
    sent.end(body);
  });
}

function addressIn(url: string): { host: string; port: number } {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== "https:") {
    throw new ConfigError("the enrolment url cannot be read", {
      expected: "https://host:port",
      got: JSON.stringify(url),
    });
  }
  const host = parsed.hostname.replace(/^\[(.*)\]$/, "$1");
  return { host, port: parsed.port === "" ? 443 : Number(parsed.port) };
}
