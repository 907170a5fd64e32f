/** The project's own sources as text: which files there are and what each imports. */
import { readFileSync, readdirSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

/** The project folder, as seen from dist/test/support. */
export const projectRoot = fileURLToPath(new URL("../../../", import.meta.url));

/** Paths of all files below the folders whose name ends so, relative to the project, `/` between parts. */
export function listFiles(folders: readonly string[], ending: string): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(projectRoot, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory())
        return entry.name === "node_modules" ? [] : listFiles([path], ending);
      return entry.name.endsWith(ending) ? [path] : [];
    }),
  );
}

export function readSource(path: string): string {
  return readFileSync(join(projectRoot, path), "utf8");
}

export interface SourceImport {
  /** What is written between the quotes. */
  readonly specifier: string;
  /** For a relative import, the imported file relative to the project; else undefined. */
  readonly target?: string;
}

/** Every import, re-export and dynamic import of a source, types included; comments and strings are not. */
export function importsOf(path: string, text: string): SourceImport[] {
  return ts
    .preProcessFile(text, true, true)
    .importedFiles.map(({ fileName: specifier }) =>
      specifier.startsWith(".")
        ? { specifier, target: posix.join(posix.dirname(path), specifier) }
        : { specifier },
    );
}

/** "@scope/name/deep" -> "@scope/name", "csv-parse/sync" -> "csv-parse". */
export function packageOf(specifier: string): string {
  const parts = specifier.split("/");
  return parts.slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}
