/** Files that only their owner may read: keys, codes, credentials. */
import { chmodSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { ConfigError } from "../base/errors.ts";

/** Makes the folder, or takes the rights of others away from one that is there. Throws ConfigError when the system refuses. */
export function privateFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    chmodSync(path, 0o700);
  } catch (cause) {
    throw new ConfigError(`cannot keep ${path} private`, {
      cause,
      hint: "the folder must belong to whoever runs this command",
    });
  }
}

/** Replaces the file as a whole, synced. Throws ConfigError when the system refuses. */
export function writePrivateFile(path: string, text: string): void {
  const part = `${path}.part`;
  try {
    writeFileSync(part, text, { mode: 0o600, flush: true });
    renameSync(part, path);
  } catch (cause) {
    throw new ConfigError(`cannot write ${path}`, { cause });
  }
}

/** Creates the file; false when there is one already. Of several processes that try at once, one gets true. */
export function createPrivateFile(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: "wx", flush: true });
    return true;
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false;
    throw new ConfigError(`cannot write ${path}`, { cause });
  }
}
