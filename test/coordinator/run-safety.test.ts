/** Whole runs on a disk that fills up, over a broker that loses what it acknowledged, with wrong clocks, and with two coordinators. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Rng } from "../../src/base/rng.ts";
import {
  type TakeJournal,
  readRunRecord,
  takeUnsynced,
} from "../../src/coordinator/run-journal.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import {
  count,
  expectClose,
  expectedAdapter,
  savedAdapter,
  seen,
} from "../support/fleet-checks.ts";
import { Fleet } from "../support/fleet.ts";

const SAMPLES = { a: 10, b: 20 };
const DAY_MS = 86_400_000;

/** A journal on a disk that can be filled. */
class FillableDisk {
  isFull = false;

  readonly take: TakeJournal = (folder, sum) => {
    const journal = takeUnsynced(folder, sum);
    const write = (work: () => void): void => {
      if (this.isFull) throw Object.assign(new RangeError("no space left"), { code: "ENOSPC" });
      work();
    };
    return {
      append: (record) => write(() => journal.append(record)),
      replace: (record) => write(() => journal.replace(record)),
      close: () => journal.close(),
    };
  };
}

test("while the disk is full nothing is accepted, devices keep what they have, and afterwards the same round goes on", async (t) => {
  for (const when of ["round-started", "update-received", "evaluated"] as const) {
    const fleet = new Fleet(t);
    const disk = new FillableDisk();
    const coordinator = fleet.coordinator(
      { quorum: 1 },
      { takeJournal: disk.take, onEvent: ({ kind }) => (disk.isFull ||= kind === when) },
    );
    const devices = Object.entries(SAMPLES).map(([id, numSamples]) =>
      fleet.device(id, { numSamples }),
    );
    await fleet.until("the disk is full", () => seen(coordinator, "disk-blocked"));
    const startMs = fleet.clock.nowMs();
    await fleet.until("a while", () => fleet.clock.nowMs() > startMs + 3000);
    const told = devices.flatMap(({ events }) => events).filter(({ kind }) => kind === "answered");
    const accepted = told.filter((event) => "verdict" in event && event.verdict === "accepted");
    const { updates } = readRunRecord(fleet.runFolder) ?? { updates: {} };
    assert.ok(accepted.length <= Object.keys(updates).length, `${when}: accepted without a record`);
    assert.ok(
      told.some((event) => "verdict" in event && event.verdict === "busy"),
      when,
    );
    const free = setInterval(() => (disk.isFull = false), 0);
    const summary = await fleet.end(coordinator);
    clearInterval(free);
    assert.equal(summary.ok, true, summary.reason);
    assert.ok(seen(coordinator, "disk-free"));
    assert.equal(seen(coordinator, "round-short"), false);
    for (const { trainer } of devices) assert.equal(trainer.begun, 2, when);
    for (const { rounds } of summary.devices) assert.equal(rounds, 2, when);
    expectClose(savedAdapter(fleet, 2), expectedAdapter(SAMPLES, 2));
  }
});

/** Acknowledges every command and loses three in ten of them. */
function losingCommands(factory: TransportFactory, lost: Uint8Array[]): TransportFactory {
  const rng = Rng.fromSeed("loses");
  return {
    connect: async (options) => {
      const inner = await factory.connect(options);
      return {
        clientId: inner.clientId,
        get state() {
          return inner.state;
        },
        publish: (topic, payload, settings) => {
          if (!topic.endsWith("/cmd") || rng.next() > 0.3) {
            return inner.publish(topic, payload, settings);
          }
          lost.push(payload);
          return Promise.resolve();
        },
        subscribe: (filter, handler) => inner.subscribe(filter, handler),
        unsubscribe: (filter) => inner.unsubscribe(filter),
        onState: (listener) => inner.onState(listener),
        close: () => inner.close(),
      };
    },
  };
}

test("commands that the broker acknowledged and lost are sent again, long before a heartbeat could show it", async (t) => {
  const fleet = new Fleet(t);
  const lost: Uint8Array[] = [];
  const heartbeatMs = 3_600_000;
  const coordinator = fleet.coordinator(
    { rounds: 6, quorum: 1, heartbeatMs, roundTimeoutMs: 2 * heartbeatMs },
    { wrap: (factory) => losingCommands(factory, lost) },
  );
  const startMs = fleet.clock.nowMs();
  const devices = Object.keys(SAMPLES).map((id) => fleet.device(id));
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  assert.ok(lost.length > 5, `${lost.length} lost`);
  assert.ok(fleet.clock.nowMs() - startMs < heartbeatMs / 10);
  assert.equal(count(coordinator, "round-started"), 6, "one attempt each");
  for (const { trainer } of devices) assert.equal(trainer.begun, 6);
});

test("devices whose clocks are a day before or behind take part like all others", async (t) => {
  const fleet = new Fleet(t);
  const coordinator = fleet.coordinator({ quorum: 1 });
  const { clock } = fleet;
  Object.entries(SAMPLES).forEach(([id, numSamples], i) => {
    const skewMs = i === 0 ? DAY_MS : -DAY_MS;
    const skewed = {
      nowMs: () => clock.nowMs() + skewMs,
      after: clock.after.bind(clock),
      sleep: clock.sleep.bind(clock),
    };
    fleet.device(id, { numSamples }, {}, undefined, skewed);
  });
  const summary = await fleet.end(coordinator);
  assert.equal(summary.ok, true, summary.reason);
  assert.deepEqual(summary.dropped, {});
  expectClose(savedAdapter(fleet, 2), expectedAdapter(SAMPLES, 2));
});

test("a second coordinator on the same run folder goes on with the round, and the first can write no more", async (t) => {
  const fleet = new Fleet(t);
  const first = fleet.coordinator({ quorum: 1 });
  for (const [id, numSamples] of Object.entries(SAMPLES)) {
    fleet.device(id, { numSamples, stepMs: id === "a" ? 100 : 1000 });
  }
  await fleet.until("one update is in", () => seen(first, "update-received", { device: "a" }));
  const second = fleet.coordinator({ quorum: 1 }, { resume: true });
  const displaced = await fleet.end(first);
  assert.deepEqual([displaced.ok, displaced.ending], [false, "displaced"]);
  const summary = await fleet.end(second);
  assert.deepEqual([summary.ok, summary.ending], [true, "done"]);
  assert.equal(seen(second, "round-started", { round: 1 }), false, "the same round goes on");
  assert.equal(seen(second, "update-received", { round: 1, device: "a" }), false);
  expectClose(savedAdapter(fleet, 2), expectedAdapter(SAMPLES, 2));
});

test("an offer that is repeated under its id gets the answer that it got before, also from the next process", async (t) => {
  const fleet = new Fleet(t);
  const settings = { rounds: 1, minDevices: 3, quorum: 0.6 };
  const first = fleet.coordinator(settings);
  fleet.device("slow", { stepMs: 3000 });
  fleet.device("good", { stepMs: 2000 });
  const bad = fleet.device("bad", { misbehaviour: "sends-nan" });
  const verdicts = (): string[] =>
    bad.events.flatMap((event) => (event.kind === "answered" ? [event.verdict] : []));
  await fleet.until("it is refused", () => verdicts().includes("not-finite"));
  first.kill();
  const answers = readRunRecord(fleet.runFolder)?.answers["bad"];
  assert.deepEqual(
    answers?.map(({ reason }) => reason),
    ["not-finite"],
  );
  const summary = await fleet.end(fleet.coordinator(settings, { resume: true }));
  assert.equal(summary.ok, true, summary.reason);
  assert.equal(summary.dropped["update-not-finite"], 1);
});
