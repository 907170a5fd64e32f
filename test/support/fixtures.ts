/** Files under test/fixtures, found from the compiled tests. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export function fixture(...path: string[]): string {
  return join(fileURLToPath(import.meta.url), "..", "..", "..", "..", "test", "fixtures", ...path);
}
