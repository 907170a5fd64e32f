/** Settings of coordinator and device: defaults, limits, and messages that name the mistake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError } from "../../src/base/errors.ts";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { parseDeviceConfig } from "../../src/device/config.ts";
import { aggregators } from "../../src/strategies/aggregation/index.ts";
import { selectors } from "../../src/strategies/selection/index.ts";

const MINIMAL = { base: "models/tiny", labels: ["no", "yes"] };

function complaint(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  assert.fail("the settings were taken");
}

test("the least that must be set is the base and the labels, and for a device its data", () => {
  const config = parseCoordinatorConfig(MINIMAL);
  assert.equal(config.plan.rank, 8);
  assert.deepEqual(config.selection, { kind: "all" });
  assert.equal(parseDeviceConfig({ data: "mine.csv" }).speed, 1);
  assert.match(
    complaint(() => parseCoordinatorConfig({ base: "x" })),
    /labels is missing/,
  );
  assert.match(
    complaint(() => parseDeviceConfig({})),
    /data is missing/,
  );
  assert.match(
    complaint(() => parseDeviceConfig(null)),
    /device settings/,
  );
});

test("an unknown key is named together with the nearest known one, at every depth", () => {
  const cases: [object, RegExp][] = [
    [{ round: 3 }, /unknown key round\nhint: did you mean rounds\?/],
    [
      { plan: { learningrate: 1 } },
      /unknown key plan.learningrate\nhint: did you mean learningRate\?/,
    ],
    [
      { selection: { kind: "random", counts: 3, count: 2 } },
      /selection.counts\nhint: did you mean count\?/,
    ],
    [{ plan: { zebra: 1 } }, /unknown key plan.zebra\nhint: known keys: rank, alpha/],
  ];
  for (const [part, expected] of cases) {
    assert.match(
      complaint(() => parseCoordinatorConfig({ ...MINIMAL, ...part })),
      expected,
    );
  }
  assert.match(
    complaint(() =>
      parseDeviceConfig({
        data: "x",
        link: { upBytesPerSec: 1, upBytesPerSecond: 1, downBytesPerSecond: 1 },
      }),
    ),
    /unknown key link.upBytesPerSec\nhint: did you mean upBytesPerSecond/,
  );
});

test("values out of range are refused with what was expected", () => {
  assert.match(
    complaint(() => parseCoordinatorConfig({ ...MINIMAL, quorum: 1.5 })),
    /quorum: expected <=1, got 1.5/,
  );
  assert.match(
    complaint(() => parseCoordinatorConfig({ ...MINIMAL, rounds: "many" })),
    /rounds: expected number, got "many"/,
  );
  assert.match(
    complaint(() => parseCoordinatorConfig({ ...MINIMAL, fleet: "a/b" })),
    /fleet/,
  );
  assert.match(
    complaint(() => parseDeviceConfig({ data: "x", speed: 0 })),
    /speed: expected >0, got 0/,
  );
  assert.match(
    complaint(() => parseDeviceConfig({ data: "x", id: "a/#" })),
    /id/,
  );
});

test("every strategy that exists can be chosen, and no other", () => {
  for (const kind of Object.keys(aggregators))
    parseCoordinatorConfig({ ...MINIMAL, aggregation: { kind } });
  for (const kind of Object.keys(selectors)) {
    const count = kind === "random" ? { count: 3 } : {};
    parseCoordinatorConfig({ ...MINIMAL, selection: { kind, ...count } });
  }
  complaint(() => parseCoordinatorConfig({ ...MINIMAL, aggregation: { kind: "magic" } }));
});
