/** structure.json: written, read, and every kind of mistake named. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointError, ConfigError } from "../../src/base/errors.ts";
import { fullStructure } from "../../src/base/structure.ts";
import {
  readFolderStructure,
  readStructureFile,
  writeFolderStructure,
} from "../../src/io/structure-file.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { unevenStructure } from "../support/structures.ts";

const counts = { layers: 2, heads: 4, ffn: 24 };

test("a folder's structure comes back, and goes with the pruned content", (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, "structure.json");
  const structure = unevenStructure(counts);
  assert.equal(readFolderStructure(folder), undefined);
  writeFolderStructure(folder, structure, counts);
  assert.deepEqual(readFolderStructure(folder), { structure, path });
  assert.deepEqual(JSON.parse(readFileSync(path, "utf8")), structure);
  writeFolderStructure(folder, fullStructure(counts), counts);
  assert.ok(!existsSync(path));
});

test("what is no structure is refused with file, layer, expected and got", (context) => {
  const path = join(temporaryFolder(context), "units.json");
  const layer = { heads: [0], ffn: [1] };
  const refused = (
    text: string,
    kind: typeof ConfigError | typeof CheckpointError,
    message: RegExp,
  ) => {
    writeFileSync(path, text);
    assert.throws(
      () => readStructureFile(path),
      (error) =>
        error instanceof kind && error.message.includes(path) && message.test(error.message),
    );
  };
  refused("{", CheckpointError, /is not JSON/);
  refused("3", ConfigError, /the whole file: expected Object, got 3/);
  refused("{}", ConfigError, /: layers is missing/);
  const layers = (...given: unknown[]): string => JSON.stringify({ layers: given });
  refused(layers(layer, { heads: [0] }), ConfigError, /: layers\.1\.ffn is missing/);
  refused(
    layers({ ...layer, heads: ["0"] }),
    ConfigError,
    /layers\.0\.heads\.0: expected number, got "0"/,
  );
  refused(layers({ ...layer, ffn: [1.5] }), ConfigError, /layers\.0\.ffn\.0: .*got 1\.5/);
  refused(layers({ ...layer, channels: [1] }), ConfigError, /unknown key layers\.0\.channels/);
  assert.throws(() => readStructureFile(`${path}.gone`), CheckpointError);
});
