/** What a device and the enrolment server say to each other: JSON over HTTPS, repeated until there is a decision. */
import type { KeyObject } from "node:crypto";
import * as v from "valibot";
import {
  type KeyPair,
  isSignedBy,
  publicKeyFrom,
  publicText,
  sha256Hex,
  signatureOf,
} from "./keys.ts";

/** Largest body in either direction, bytes. */
export const MAX_ENROLMENT_BYTES = 8 * 1024;
export const ENROLMENT_PATH = "/enrol";

const base64 = v.pipe(v.string(), v.maxLength(400), v.regex(/^[A-Za-z0-9+/]+={0,2}$/));

const requestSchema = v.object({
  v: v.literal(1),
  secret: v.pipe(v.string(), v.maxLength(64)),
  /** The id that the device would like; null = the server draws one. */
  device: v.nullable(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,64}$/))),
  /** Kind of machine, shown to whoever decides. */
  type: v.pipe(v.string(), v.maxLength(100)),
  tlsKey: base64,
  signKey: base64,
  /** Both keys sign the whole request: nobody enrols a key that it does not hold. */
  tlsProof: base64,
  signProof: base64,
});

/** What a device is told when it is let in, and keeps. */
export const membershipSchema = v.object({
  device: v.string(),
  fleet: v.string(),
  broker: v.string(),
  certificate: v.string(),
  authority: v.string(),
  coordinatorKey: v.string(),
});

const answerSchema = v.variant("state", [
  v.object({ state: v.literal("pending"), device: v.string() }),
  v.object({ state: v.literal("accepted"), ...membershipSchema.entries }),
  v.object({ state: v.literal("rejected"), device: v.string() }),
  v.object({ state: v.literal("refused"), reason: v.string() }),
]);

export type EnrolmentDemand = v.InferOutput<typeof requestSchema>;
export type EnrolmentAnswer = v.InferOutput<typeof answerSchema>;

/** The keys that a device makes for itself and never sends. */
export interface DeviceKeys {
  readonly tls: KeyPair;
  readonly signing: KeyPair;
}

/** A request with its proofs. */
export function enrolmentDemand(
  wish: Pick<EnrolmentDemand, "secret" | "device" | "type">,
  { tls, signing }: DeviceKeys,
): EnrolmentDemand {
  const keys = { tlsKey: publicText(tls.publicKey), signKey: publicText(signing.publicKey) };
  const signed = transcript({ ...wish, ...keys });
  const proof = (key: KeyObject): string => signatureOf(key, signed).toString("base64");
  const proofs = { tlsProof: proof(tls.privateKey), signProof: proof(signing.privateKey) };
  return { v: 1, ...wish, ...keys, ...proofs };
}

/** A request whose keys are of the right kind and whose proofs hold; a reason otherwise. Never throws. */
export function readDemand(body: Uint8Array): EnrolmentDemand | "malformed" | "bad-proof" {
  const parsed = v.safeParse(requestSchema, parseJson(body));
  if (!parsed.success) return "malformed";
  const demand = parsed.output;
  try {
    const signed = transcript(demand);
    const isProved = (key: KeyObject, proof: string): boolean =>
      isSignedBy(key, signed, Buffer.from(proof, "base64"));
    const isTls = isProved(publicKeyFrom(demand.tlsKey, "tls"), demand.tlsProof);
    const isSigning = isProved(publicKeyFrom(demand.signKey, "signing"), demand.signProof);
    return isTls && isSigning ? demand : "bad-proof";
  } catch {
    return "malformed";
  }
}

/** undefined for anything that is no answer. Never throws. */
export function readAnswer(body: Uint8Array): EnrolmentAnswer | undefined {
  const parsed = v.safeParse(answerSchema, parseJson(body));
  return parsed.success ? parsed.output : undefined;
}

function transcript({
  secret,
  device,
  type,
  tlsKey,
  signKey,
}: Pick<EnrolmentDemand, "secret" | "device" | "type" | "tlsKey" | "signKey">): Uint8Array {
  const parts = [sha256Hex(secret), device ?? "", JSON.stringify(type), tlsKey, signKey];
  return new TextEncoder().encode(["fedspine enrolment 1", ...parts].join("\n"));
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    return undefined;
  }
}
