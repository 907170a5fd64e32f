/** The register of a fleet: one file per identity, read by the broker on every connect and changed by the operator's decisions. */
import type { KeyObject } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { ConfigError } from "../base/errors.ts";
import { isId } from "../protocol/topics.ts";
import { type Issuer, fingerprintOf, issueCertificate } from "./certificates.ts";
import { newToken, publicKeyFrom, sha256Hex } from "./keys.ts";
import { privateFolder, writePrivateFile } from "./private-file.ts";

/** Certificates are short of a lifetime of hardware; a device gets its next one by enrolling again. */
const DEVICE_DAYS = 5 * 365;

const requestSchema = v.object({
  /** SubjectPublicKeyInfo of the two keys that the device has made and proved to own. */
  tlsKey: v.string(),
  signKey: v.string(),
  type: v.string(),
  address: v.string(),
  atMs: v.number(),
});

const entrySchema = v.object({
  id: v.string(),
  role: v.picklist(["device", "coordinator"]),
  /** "active" alone may connect. */
  state: v.picklist(["pending", "active", "rejected", "revoked"]),
  type: v.string(),
  /** Fingerprints that count; at most one. */
  certificates: v.array(v.string()),
  certificate: v.nullable(v.string()),
  tokenHash: v.nullable(v.string()),
  signKey: v.nullable(v.string()),
  /** Waiting for a decision; beside an active identity when a device enrols again. */
  request: v.nullable(requestSchema),
  /** Signing key of the last request that was turned down. */
  rejectedKey: v.nullable(v.string()),
  changedAtMs: v.number(),
});

export type Entry = v.InferOutput<typeof entrySchema>;
export type EnrolmentRequest = v.InferOutput<typeof requestSchema>;

/** The coordinator's name in the register; no device may have it. */
export const COORDINATOR_ID = "coordinator";

export class Register {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Devices by id, in the order of their ids. A file that cannot be read counts as none. */
  devices(): Entry[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder)
      .filter((file) => file.endsWith(".json"))
      .sort()
      .flatMap((file) => this.find(file.slice(0, -".json".length)) ?? [])
      .filter(({ role }) => role === "device");
  }

  find(id: string): Entry | undefined {
    if (!isId(id) || !existsSync(this.#path(id))) return undefined;
    try {
      const parsed = v.safeParse(entrySchema, JSON.parse(readFileSync(this.#path(id), "utf8")));
      return parsed.success && parsed.output.id === id ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }

  /** The key that an active device signs with; null for everybody else. */
  signKeyOf(id: string): KeyObject | null {
    const entry = this.find(id);
    if (entry?.state !== "active" || entry.signKey === null) return null;
    return publicKeyFrom(entry.signKey, "signing");
  }

  /** Whether a key may ask for an id: it is free, the key has asked already, or `mayReplace` allows for a known device. */
  mayRequest(id: string, signKey: string, mayReplace: boolean): boolean {
    if (!isId(id) || id === COORDINATOR_ID) return false;
    const entry = this.find(id);
    const isFree = entry === undefined || entry.state === "rejected";
    return isFree || mayReplace || entry.request?.signKey === signKey;
  }

  /** Takes in a request that `mayRequest` allows; what an active device has stays valid until the decision. */
  request(id: string, request: EnrolmentRequest): void {
    const entry = this.find(id);
    const isFree = entry === undefined || entry.state === "rejected";
    const base = isFree ? newEntry(id, request.type) : entry;
    this.#write({ ...base, request }, request.atMs);
  }

  /** Issues the certificate of the open request. Throws ConfigError when there is none. */
  accept(id: string, issuer: Issuer, nowMs: number): Entry {
    const entry = this.#expect(id);
    const { request } = entry;
    if (request === null) throw new ConfigError(`${id} has not asked to be enrolled`);
    const publicKey = publicKeyFrom(request.tlsKey, "tls");
    const wanted = { commonName: id, publicKey, use: "client", validDays: DEVICE_DAYS } as const;
    const certificate = issueCertificate({ ...wanted, nowMs }, issuer);
    return this.#write(
      {
        ...entry,
        state: "active",
        type: request.type,
        certificate,
        certificates: [fingerprintOf(certificate)],
        signKey: request.signKey,
        tokenHash: null,
        request: null,
      },
      nowMs,
    );
  }

  /** Turns down the open request; credentials from before stay as they are. Throws ConfigError when there is none. */
  reject(id: string, nowMs: number): Entry {
    const entry = this.#expect(id);
    if (entry.request === null) throw new ConfigError(`${id} has not asked to be enrolled`);
    const state = entry.state === "pending" ? "rejected" : entry.state;
    const { signKey: rejectedKey } = entry.request;
    return this.#write({ ...entry, state, rejectedKey, request: null }, nowMs);
  }

  /** Takes all credentials away for good; the id stays taken. Throws ConfigError for an unknown device. */
  revoke(id: string, nowMs: number): Entry {
    const entry = this.#expect(id);
    const nothing = { certificates: [], certificate: null, tokenHash: null, signKey: null };
    return this.#write({ ...entry, ...nothing, state: "revoked", request: null }, nowMs);
  }

  /** A fresh token for an active device, which replaces an older one; only its hash is kept. Throws ConfigError. */
  issueToken(id: string, nowMs: number): string {
    const entry = this.#expect(id);
    if (entry.state !== "active") {
      throw new ConfigError(`${id} is not active`, { got: entry.state });
    }
    const token = newToken();
    this.#write({ ...entry, tokenHash: sha256Hex(token) }, nowMs);
    return token;
  }

  admitCoordinator(fingerprint: string, nowMs: number): void {
    const entry = newEntry(COORDINATOR_ID, "coordinator");
    this.#write(
      { ...entry, role: "coordinator", state: "active", certificates: [fingerprint] },
      nowMs,
    );
  }

  #expect(id: string): Entry {
    const entry = this.find(id);
    if (entry?.role === "device") return entry;
    const ids = this.devices().map((device) => device.id);
    throw new ConfigError(`there is no device ${id}`, {
      hint: ids.length === 0 ? "no device has enrolled yet" : `devices: ${ids.join(", ")}`,
    });
  }

  #write(entry: Entry, changedAtMs: number): Entry {
    const changed = { ...entry, changedAtMs };
    privateFolder(this.#folder);
    writePrivateFile(this.#path(entry.id), `${JSON.stringify(changed, null, 2)}\n`);
    return changed;
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.json`);
  }
}

function newEntry(id: string, type: string): Entry {
  return {
    id,
    role: "device",
    state: "pending",
    type,
    certificates: [],
    certificate: null,
    tokenHash: null,
    signKey: null,
    request: null,
    rejectedKey: null,
    changedAtMs: 0,
  };
}
