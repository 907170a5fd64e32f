/** Topics: round trips, hostile ids, and that no other source file spells one. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { ProtocolError } from "../../src/base/errors.ts";
import {
  ID_PATTERN,
  dataClientId,
  deviceChannels,
  fleetTopics,
  isId,
  parseTopic,
} from "../../src/protocol/topics.ts";
import { filterMatches } from "../../src/transport/topic-filter.ts";

const id = fc.stringMatching(ID_PATTERN);

test("the topics of a fleet are the documented ones", () => {
  const topics = fleetTopics("demo");
  assert.equal(topics.epoch, "fl/1/demo/c/epoch");
  assert.equal(topics.device("gw-1").cmd, "fl/1/demo/d/gw-1/cmd");
  assert.equal(topics.everyDevice("put"), "fl/1/demo/d/+/put");
  assert.equal(dataClientId("gw-1"), "gw-1.data");
});

test("every topic that is built parses back to what it was built from", () => {
  fc.assert(
    fc.property(id, id, fc.constantFrom(...deviceChannels), (fleet, device, channel) => {
      const topics = fleetTopics(fleet);
      assert.deepEqual(parseTopic(topics.device(device)[channel]), { fleet, device, channel });
      assert.deepEqual(parseTopic(topics.epoch), { fleet, channel: "epoch" });
      assert.ok(filterMatches(topics.everyDevice(channel), topics.device(device)[channel]));
    }),
  );
});

test("an id with a separator, a wildcard or nothing in it is refused", () => {
  for (const bad of ["", "a/b", "+", "#", "$SYS", "a b", "ü", "a.b", "x".repeat(65), "a\n"]) {
    assert.equal(isId(bad), false, JSON.stringify(bad));
    assert.throws(() => fleetTopics(bad), ProtocolError);
    assert.throws(() => fleetTopics("demo").device(bad), ProtocolError);
  }
});

test("a topic that is not built here parses to nothing, whatever it is", () => {
  const real = "fl/1/demo/d/gw/evt";
  const mutant = fc
    .tuple(fc.nat(real.length), fc.nat(3), fc.string({ maxLength: 4 }))
    .map(([place, removed, inserted]) => {
      return real.slice(0, place) + inserted + real.slice(place + removed);
    });
  fc.assert(
    fc.property(fc.oneof(mutant, fc.string({ unit: "binary", maxLength: 200 })), (topic) => {
      const parsed = parseTopic(topic);
      if (parsed === undefined) return;
      const topics = fleetTopics(parsed.fleet);
      const rebuilt =
        parsed.device === undefined
          ? topics[parsed.channel]
          : topics.device(parsed.device)[parsed.channel];
      assert.equal(rebuilt, topic);
    }),
    { numRuns: 3000 },
  );
});

test("no source file but topics.ts spells a topic", () => {
  const src = fileURLToPath(new URL("../../../src", import.meta.url));
  const spelt = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && path !== join("protocol", "topics.ts"))
    .filter((path) =>
      /["'`]fl\/|\/(epoch|cmd|evt|blk)["'`]/.test(readFileSync(join(src, path), "utf8")),
    );
  assert.deepEqual(spelt, []);
});
