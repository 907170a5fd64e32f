/** Where the real data lies that some tests read: FEDSPINE_DATA, else ../shared/data next to the project. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(fileURLToPath(import.meta.url), "..", "..", "..", "..");

export const sharedData = process.env.FEDSPINE_DATA ?? join(root, "..", "shared", "data");

/** For `test(name, { skip: missing("novels") }, ...)`: the reason to skip, or false when all is there. */
export function missing(...paths: string[]): string | false {
  const absent = paths.filter((path) => !existsSync(join(sharedData, path)));
  return absent.length > 0 && `no ${absent.join(", ")} in ${sharedData}; set FEDSPINE_DATA`;
}
