/** The fleet's own authority and keys, as a folder on the coordinator's machine that never leaves it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";
import { ConfigError } from "../base/errors.ts";
import { parseSettings } from "../base/settings.ts";
import { readJson } from "../io/json.ts";
import { ID_PATTERN } from "../protocol/topics.ts";
import { type Issuer, fingerprintOf, issueCertificate } from "./certificates.ts";
import { type KeyPair, newKeyPair, pemOf, privateKeyFrom, publicText } from "./keys.ts";
import { COORDINATOR_ID, Register } from "./register.ts";
import { privateFolder, writePrivateFile } from "./private-file.ts";

const AUTHORITY_DAYS = 20 * 365;
const SERVER_DAYS = 5 * 365;

const infoSchema = v.object({
  fleet: v.pipe(v.string(), v.regex(ID_PATTERN)),
  /** Names and addresses that devices reach this machine by. */
  hosts: v.pipe(v.array(v.string()), v.minLength(1)),
  /** Urls of the broker and of the enrolment server, as devices reach them. */
  broker: v.string(),
  enrolment: v.string(),
});

export type FleetInfo = v.InferOutput<typeof infoSchema>;

/** PEM files of one end of a TLS connection, and the authority that the other end must come from. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export class FleetFolder {
  readonly info: FleetInfo;
  readonly register: Register;
  readonly #path: string;

  private constructor(path: string, info: FleetInfo) {
    this.#path = path;
    this.info = info;
    this.register = new Register(join(path, "identities"));
  }

  /** Makes keys and certificates. Throws ConfigError when the folder holds a fleet already. */
  static create(path: string, info: FleetInfo, nowMs: number): FleetFolder {
    if (existsSync(join(path, "fleet.json"))) {
      throw new ConfigError(`${path} holds a fleet already`, { hint: "name another folder" });
    }
    privateFolder(path);
    const folder = new FleetFolder(path, info);
    folder.#makeKeys(nowMs);
    // Last: a folder without it is not a fleet, so one that was broken off is made anew.
    writePrivateFile(join(path, "fleet.json"), `${JSON.stringify(info, null, 2)}\n`);
    return folder;
  }

  /** Throws ConfigError when there is no fleet in the folder. */
  static open(path: string): FleetFolder {
    const file = join(path, "fleet.json");
    if (!existsSync(file)) {
      throw new ConfigError(`no fleet in ${path}`, { hint: "make one with fedspine fleet create" });
    }
    return new FleetFolder(path, parseSettings(file, infoSchema, readJson(file)));
  }

  get codesFolder(): string {
    return join(this.#path, "codes");
  }

  get identitiesFolder(): string {
    return join(this.#path, "identities");
  }

  /** The broker's and the enrolment server's end. */
  get serverFiles(): TlsFiles {
    return this.#files("server");
  }

  get coordinatorFiles(): TlsFiles {
    return this.#files("coordinator");
  }

  /** Text of the authority's certificate. */
  get authorityPem(): string {
    return this.#read("authority.crt");
  }

  /** Key that commands are signed with. */
  signingKeys(): KeyPair {
    return privateKeyFrom(this.#read("signing.key"), "signing");
  }

  /** What devices check commands with. */
  get coordinatorKey(): string {
    return publicText(this.signingKeys().publicKey);
  }

  /** For signing certificates; only enrolment needs it. */
  issuer(): Issuer {
    const keys = privateKeyFrom(this.#read("authority.key"), "tls");
    return { commonName: `${this.info.fleet} authority`, keys };
  }

  #makeKeys(nowMs: number): void {
    const { fleet, hosts } = this.info;
    const keys = newKeyPair("tls");
    const issuer: Issuer = { commonName: `${fleet} authority`, keys };
    this.#write("authority.key", pemOf(keys.privateKey));
    const { commonName } = issuer;
    const authority = { commonName, publicKey: keys.publicKey, use: "authority" } as const;
    this.#write(
      "authority.crt",
      issueCertificate({ ...authority, validDays: AUTHORITY_DAYS, nowMs }, issuer),
    );
    this.#write("signing.key", pemOf(newKeyPair("signing").privateKey));
    const ends = [
      { name: "server", commonName: hosts[0] ?? fleet, use: "server", hosts },
      { name: "coordinator", commonName: COORDINATOR_ID, use: "client", hosts: [] },
    ] as const;
    for (const { name, ...end } of ends) {
      const { publicKey, privateKey } = newKeyPair("tls");
      const request = { ...end, publicKey, validDays: SERVER_DAYS, nowMs };
      const pem = issueCertificate(request, issuer);
      this.#write(`${name}.key`, pemOf(privateKey));
      this.#write(`${name}.crt`, pem);
      if (name === "coordinator") this.register.admitCoordinator(fingerprintOf(pem), nowMs);
    }
  }

  #files(name: string): TlsFiles {
    const path = (file: string): string => join(this.#path, file);
    return { ca: path("authority.crt"), cert: path(`${name}.crt`), key: path(`${name}.key`) };
  }

  #read(file: string): string {
    try {
      return readFileSync(join(this.#path, file), "utf8");
    } catch (cause) {
      throw new ConfigError(`the fleet in ${this.#path} lacks ${file}`, { cause });
    }
  }

  #write(file: string, text: string): void {
    writePrivateFile(join(this.#path, file), text);
  }
}
