/** Who is known: one JSON file per identity in a folder that another program keeps; read when it counts, never cached long. */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import * as v from "valibot";

const hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

/** Other fields are the business of whoever keeps the folder. */
const identitySchema = v.object({
  id: v.string(),
  role: v.string(),
  /** Anything but "active" is refused. */
  state: v.string(),
  /** Fingerprints of its certificates: one that the authority signed and that is not listed does not count. */
  certificates: v.optional(v.array(v.string()), []),
  /** SHA-256 of a random token of 256 bits: too many to guess, so a slow hash would only cost the broker. */
  tokenHash: v.optional(v.nullable(hex), null),
});

export type Identity = v.InferOutput<typeof identitySchema>;

/** Names that are safe as file names and as topic levels. */
const NAME = /^[A-Za-z0-9_-]{1,64}$/;

export class Identities {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The identity as it is now; undefined when it is unknown, not active, or its file cannot be read. */
  active(name: string): Identity | undefined {
    if (!NAME.test(name)) return undefined;
    try {
      const parsed = v.safeParse(
        identitySchema,
        JSON.parse(readFileSync(this.#path(name), "utf8")),
      );
      if (!parsed.success || parsed.output.id !== name) return undefined;
      return parsed.output.state === "active" ? parsed.output : undefined;
    } catch {
      return undefined;
    }
  }

  /** Changes whenever the file does, since it is replaced and never written in place. */
  version(name: string): string {
    if (!NAME.test(name)) return "absent";
    try {
      const { ino, mtimeMs, size } = statSync(this.#path(name));
      return `${ino} ${mtimeMs} ${size}`;
    } catch {
      return "absent";
    }
  }

  #path(name: string): string {
    return join(this.#folder, `${name}.json`);
  }
}

/** Compares in constant time; an absent hash costs as much as a wrong one. */
export function tokenMatches(token: Uint8Array, tokenHash: string | null): boolean {
  const wanted = Buffer.from(tokenHash ?? "0".repeat(64), "hex");
  const given = createHash("sha256").update(token).digest();
  return timingSafeEqual(wanted, given) && tokenHash !== null;
}
