/** What an enrolled device holds, in its state folder: its keys, its certificate, and whom it trusts. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import * as v from "valibot";
import { ConfigError } from "../base/errors.ts";
import { type DeviceKeys, type EnrolmentAnswer, membershipSchema } from "./enrolment-messages.ts";
import { newKeyPair, pemOf, privateKeyFrom, publicKeyFrom } from "./keys.ts";
import { privateFolder, writePrivateFile } from "./private-file.ts";

const keysSchema = v.object({ tlsKey: v.string(), signKey: v.string() });
const memberSchema = v.object({ ...keysSchema.entries, ...membershipSchema.entries });

export interface Credentials {
  readonly device: string;
  readonly fleet: string;
  /** Where the fleet's broker is. */
  readonly broker: string;
  /** PEM texts. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly signKey: KeyObject;
  readonly coordinatorKey: KeyObject;
}

export class CredentialStore {
  readonly #folder: string;

  constructor(stateFolder: string) {
    this.#folder = join(stateFolder, "credentials");
  }

  /** null when the device is not enrolled. Throws ConfigError for damaged files. */
  load(): Credentials | null {
    if (!existsSync(this.#path("member.json"))) return null;
    const member = this.#read("member.json", memberSchema);
    return {
      device: member.device,
      fleet: member.fleet,
      broker: member.broker,
      tls: { ca: member.authority, cert: member.certificate, key: member.tlsKey },
      signKey: privateKeyFrom(member.signKey, "signing").privateKey,
      coordinatorKey: publicKeyFrom(member.coordinatorKey, "signing"),
    };
  }

  /** Keys for an enrolment: those of one that was broken off, or new ones. They stay beside the old ones until it succeeds. */
  nextKeys(): DeviceKeys {
    if (!existsSync(this.#path("next-keys.json"))) {
      const [tls, signing] = [newKeyPair("tls"), newKeyPair("signing")];
      const text = { tlsKey: pemOf(tls.privateKey), signKey: pemOf(signing.privateKey) };
      this.#write("next-keys.json", text);
      return { tls, signing };
    }
    const { tlsKey, signKey } = this.#read("next-keys.json", keysSchema);
    return { tls: privateKeyFrom(tlsKey, "tls"), signing: privateKeyFrom(signKey, "signing") };
  }

  /** Makes the new keys those of the device. Throws ConfigError when the answer holds no usable key. */
  save({ state: _, ...member }: Extract<EnrolmentAnswer, { state: "accepted" }>): void {
    publicKeyFrom(member.coordinatorKey, "signing");
    // One file, so that keys and certificate can never be of two enrolments.
    this.#write("member.json", { ...member, ...this.#read("next-keys.json", keysSchema) });
    this.forgetNext();
  }

  /** Throws the keys of an enrolment away. */
  forgetNext(): void {
    rmSync(this.#path("next-keys.json"), { force: true });
  }

  #read<S extends v.GenericSchema>(file: string, schema: S): v.InferOutput<S> {
    const path = this.#path(file);
    try {
      return v.parse(schema, JSON.parse(readFileSync(path, "utf8")));
    } catch {
      // Without the cause: it might quote a key.
      throw new ConfigError(`${path} is damaged`, { hint: "enrol the device again" });
    }
  }

  #write(file: string, value: object): void {
    privateFolder(this.#folder);
    writePrivateFile(this.#path(file), `${JSON.stringify(value, null, 2)}\n`);
  }

  #path(file: string): string {
    return join(this.#folder, file);
  }
}
