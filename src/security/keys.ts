/** Keys, signatures and secrets: the few primitives of Node's crypto that the project uses, each in one way. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign as cryptoSign,
  verify as cryptoVerify,
} from "node:crypto";
import type { KeyObject } from "node:crypto";
import { FedspineError } from "../base/errors.ts";

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** "signing": Ed25519 (RFC 8032) for messages. "tls": ECDSA over P-256, which every broker's TLS understands. */
export type KeyUse = "signing" | "tls";

export function newKeyPair(use: KeyUse): KeyPair {
  return use === "signing"
    ? generateKeyPairSync("ed25519")
    : generateKeyPairSync("ec", { namedCurve: "P-256" });
}

export function pemOf(privateKey: KeyObject): string {
  return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** Throws FedspineError for text that is no private key of that use. */
export function privateKeyFrom(pem: string, use: KeyUse): KeyPair {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(pem);
  } catch (cause) {
    throw new FedspineError("private key cannot be read", { cause, expected: "PKCS #8 as PEM" });
  }
  expectUse(privateKey, use);
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Base64 of the key's SubjectPublicKeyInfo (RFC 5280, section 4.1). */
export function publicText(publicKey: KeyObject): string {
  return publicKey.export({ type: "spki", format: "der" }).toString("base64");
}

/** The key of such a text. Throws FedspineError for anything else, also for a key of another kind. */
export function publicKeyFrom(text: string, use: KeyUse): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(text, "base64"), type: "spki", format: "der" });
  } catch (cause) {
    throw new FedspineError("public key cannot be read", { cause, expected: "base64 of an SPKI" });
  }
  expectUse(key, use);
  return key;
}

/** Start of a public key's SHA-256 for people to compare: 64 bits in groups of four digits. */
export function keyText(spkiText: string): string {
  const digits = sha256Hex(Buffer.from(spkiText, "base64")).slice(0, 16);
  return digits.replace(/(.{4})(?=.)/g, "$1-");
}

function expectUse(key: KeyObject, use: KeyUse): void {
  const { asymmetricKeyType: kind, asymmetricKeyDetails: details } = key;
  const isRight =
    use === "signing" ? kind === "ed25519" : kind === "ec" && details?.namedCurve === "prime256v1";
  if (isRight) return;
  throw new FedspineError("key is of the wrong kind", {
    expected: use === "signing" ? "Ed25519" : "ECDSA over P-256",
    got: kind ?? "a secret key",
  });
}

/** Ed25519 gives 64 bytes; ECDSA a DER sequence over SHA-256. */
export function signatureOf(privateKey: KeyObject, message: Uint8Array): Buffer {
  return cryptoSign(digestFor(privateKey), message, privateKey);
}

/** False for a wrong signature and for bytes that are none. */
export function isSignedBy(
  publicKey: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    return cryptoVerify(digestFor(publicKey), message, publicKey, signature);
  } catch {
    return false;
  }
}

/** Ed25519 hashes by itself. */
function digestFor(key: KeyObject): string | null {
  return key.asymmetricKeyType === "ed25519" ? null : "sha256";
}

/** 256 random bits as 43 characters of base64url. */
export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/** 64 hex digits. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}
