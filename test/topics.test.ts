/** Topic strings have one home: src/protocol/topics.ts builds and parses them all. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fleetTopics } from "../src/protocol/topics.ts";
import { listFiles, readSource } from "./support/sources.ts";

const home = "src/protocol/topics.ts";

/** A quoted text that begins or ends as our topics do: "fl/1/…", `${root}/d/…`, "…/evt". */
const topicLiteral =
  /["'`]fl\/|["'`/}](?:c\/epoch|d\/[^"'`\s]*\/?(?:cmd|evt|st|get|blk|ask|put))["'`]/;

test("no file but protocol/topics.ts contains a topic literal", () => {
  const offenders = listFiles(["src", "broker/src", "bench"], ".ts").filter(
    (path) => path !== home && topicLiteral.test(readSource(path)),
  );
  assert.deepEqual(offenders, []);
});

test("the search finds topics as they are written", () => {
  assert.match(readSource(home), topicLiteral);
  const topics = fleetTopics("plant-7");
  for (const topic of [topics.epoch, ...Object.values(topics.device("gw-1"))]) {
    if (topic !== "gw-1") assert.match(`publish("${topic}")`, topicLiteral);
  }
  assert.match("subscribe(`${root}/d/+/evt`)", topicLiteral);
  assert.doesNotMatch('import { put } from "../d/put.ts"', topicLiteral);
});
