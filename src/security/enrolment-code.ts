/** One-time codes: a secret that lets one device ask, and the fingerprint of the server that it may be told to. */
import { X509Certificate, createHash, randomBytes } from "node:crypto";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { ConfigError } from "../base/errors.ts";
import { sha256Hex } from "./keys.ts";
import { createPrivateFile, privateFolder } from "./private-file.ts";

/** Crockford's base 32: no I, L, O, U, so a code can be read out and typed. */
const DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX = "FS1";
/** 80 bits against guessing at 60 tries a minute; 100 bits against a key made to fit the fingerprint. */
const SECRET_DIGITS = 16;
const FINGERPRINT_DIGITS = 20;
const GROUP = 6;

export interface EnrolmentCode {
  readonly secret: string;
  /** Start of the SHA-256 of the server's public key. */
  readonly fingerprint: string;
}

/** What a code allows; nothing of the secret itself is kept but its hash, which names the file. */
const ticketSchema = v.object({
  expiresAtMs: v.number(),
  /** Only for this device, which may be enrolled already; null = for any new one. */
  device: v.nullable(v.string()),
  preauthorised: v.boolean(),
});
const claimSchema = v.object({ device: v.string(), signKey: v.string() });

export type Ticket = v.InferOutput<typeof ticketSchema>;
export type Claim = v.InferOutput<typeof claimSchema>;

/** FS1- and groups of six. */
export function codeText({ secret, fingerprint }: EnrolmentCode): string {
  const groups = (secret + fingerprint).match(new RegExp(`.{1,${GROUP}}`, "g")) ?? [];
  return [PREFIX, ...groups].join("-");
}

/** Forgives case, blanks and the letters that look like digits. Throws ConfigError for anything that is no code. */
export function parseCode(text: string): EnrolmentCode {
  const [prefix = "", ...groups] = text
    .trim()
    .toUpperCase()
    .split(/[-\s]+/);
  const digits = groups.join("").replaceAll("O", "0").replace(/[IL]/g, "1");
  const isWhole = digits.length === SECRET_DIGITS + FINGERPRINT_DIGITS;
  if (prefix !== PREFIX || !isWhole || !/^[0-9A-HJKMNP-TV-Z]*$/.test(digits)) {
    throw new ConfigError("this is not an enrolment code", {
      expected: `${PREFIX}- and 36 letters and digits`,
      hint: "fedspine enroll prints one on the coordinator's machine",
    });
  }
  return { secret: digits.slice(0, SECRET_DIGITS), fingerprint: digits.slice(SECRET_DIGITS) };
}

/** What the code of a server with this certificate carries. */
export function serverFingerprint(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: "spki", format: "der" });
  return digitsOf(createHash("sha256").update(spki).digest(), FINGERPRINT_DIGITS);
}

/** The codes that are out, as files of a folder that several processes share. */
export class CodeStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A new secret; codes that have run out are forgotten, but for those that a device holds. */
  issue(ticket: Ticket, nowMs: number): string {
    privateFolder(this.#folder);
    this.#tidy(nowMs);
    const secret = digitsOf(randomBytes(SECRET_DIGITS), SECRET_DIGITS);
    createPrivateFile(this.#path(secret, "code"), JSON.stringify(ticket));
    return secret;
  }

  /** The ticket of a secret that has not run out. */
  find(secret: string, nowMs: number): Ticket | undefined {
    const ticket = this.#read(this.#path(secret, "code"), ticketSchema);
    return ticket !== undefined && ticket.expiresAtMs > nowMs ? ticket : undefined;
  }

  /** Who has used the secret. */
  claim(secret: string): Claim | undefined {
    return this.#read(this.#path(secret, "claim"), claimSchema);
  }

  /** Uses the secret up; false when somebody has been faster. */
  use(secret: string, claim: Claim): boolean {
    return createPrivateFile(this.#path(secret, "claim"), JSON.stringify(claim));
  }

  #tidy(nowMs: number): void {
    for (const file of readdirSync(this.#folder)) {
      if (!file.endsWith(".code")) continue;
      const path = join(this.#folder, file);
      const ticket = this.#read(path, ticketSchema);
      if (ticket === undefined || ticket.expiresAtMs <= nowMs) rmSync(path, { force: true });
    }
  }

  #read<S extends v.GenericSchema>(path: string, schema: S): v.InferOutput<S> | undefined {
    try {
      const parsed = v.safeParse(schema, JSON.parse(readFileSync(path, "utf8")));
      return parsed.success ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }

  #path(secret: string, kind: "code" | "claim"): string {
    return join(this.#folder, `${sha256Hex(secret)}.${kind}`);
  }
}

/** The first bits of `bytes`, five to a digit. */
function digitsOf(bytes: Uint8Array, count: number): string {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  const surplus = BigInt(bytes.byteLength * 8 - count * 5);
  bits >>= surplus;
  let text = "";
  for (let i = 0; i < count; i++, bits >>= 5n) text = DIGITS.charAt(Number(bits & 31n)) + text;
  return text;
}
