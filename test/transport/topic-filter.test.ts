/** Filter matching by the rules of MQTT 3.1.1, section 4.7, and overlap by what can be matched. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { filterMatches, filtersOverlap, isTopicFilter } from "../../src/transport/topic-filter.ts";

test("the examples of the standard match as it says", () => {
  const cases: [string, string, boolean][] = [
    ["sport/tennis/player1/#", "sport/tennis/player1", true],
    ["sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true],
    ["sport/#", "sport", true],
    ["sport/tennis/+", "sport/tennis/player1/ranking", false],
    ["sport/+", "sport", false],
    ["sport/+", "sport/", true],
    ["+/+", "/finance", true],
    ["/+", "/finance", true],
    ["+", "/finance", false],
    ["#", "$SYS/uptime", false],
    ["+/uptime", "$SYS/uptime", false],
    ["$SYS/#", "$SYS/uptime", true],
  ];
  for (const [filter, topic, expected] of cases) {
    assert.equal(filterMatches(filter, topic), expected, `${filter} ${topic}`);
  }
});

test("wildcards must stand alone and # last", () => {
  for (const good of ["a", "+", "#", "a/+/b", "a/#", "/", "+/+/#"]) assert.ok(isTopicFilter(good));
  for (const bad of ["", "a+", "a/#/b", "#/a", "a#", "+a/b", "a\0"]) {
    assert.equal(isTopicFilter(bad), false, bad);
  }
});

test("two filters overlap exactly when some topic matches both", () => {
  const topics: string[] = [];
  const levels = ["a", "b", ""];
  for (const x of levels) {
    topics.push(x);
    for (const y of levels) {
      topics.push(`${x}/${y}`);
      for (const z of levels) topics.push(`${x}/${y}/${z}`, `${x}/${y}/${z}/a`);
    }
  }
  const filter = fc
    .tuple(fc.array(fc.constantFrom("a", "b", "+"), { minLength: 1, maxLength: 3 }), fc.boolean())
    .map(([parts, open]) => [...parts, ...(open ? ["#"] : [])].join("/"));
  fc.assert(
    fc.property(filter, filter, (a, b) => {
      const both = topics.some((topic) => filterMatches(a, topic) && filterMatches(b, topic));
      assert.equal(filtersOverlap(a, b), both, `${a} ${b}`);
    }),
    { numRuns: 1000 },
  );
});
