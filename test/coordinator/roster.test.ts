/** The roster: leases, wills, restarts and twins. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../src/base/clock.ts";
import { Roster } from "../../src/coordinator/roster.ts";

const PROFILE = { type: "gateway", cores: 4, memoryBytes: 1e9, hasBase: false };

function setUp(): { clock: ManualClock; roster: Roster } {
  const clock = new ManualClock();
  return { clock, roster: new Roster({ clock, leaseMs: 300, graceMs: 100 }) };
}

test("a device is here from its hello until its lease runs out, and back with its next message", () => {
  const { clock, roster } = setUp();
  assert.equal(roster.seen("a"), "unknown");
  assert.equal(roster.hello("a", "boot-1", PROFILE), "joined");
  assert.equal(roster.hello("a", "boot-1", PROFILE), "known");
  clock.advance(250);
  assert.equal(roster.seen("a"), "known");
  clock.advance(250);
  assert.deepEqual(roster.expire(), []);
  clock.advance(60);
  assert.deepEqual(roster.expire(), [{ device: "a", reason: "silent" }]);
  assert.deepEqual(roster.expire(), [], "it leaves once");
  assert.equal(roster.seen("a"), "joined");
});

test("a broken connection shortens the lease to the grace, unless the device speaks again", () => {
  const { clock, roster } = setUp();
  for (const id of ["a", "b"]) roster.hello(id, `boot-${id}`, PROFILE);
  roster.cutOff("a", "boot-a");
  roster.cutOff("b", "boot-b");
  roster.seen("b");
  clock.advance(110);
  assert.deepEqual(roster.expire(), [{ device: "a", reason: "cut-off" }]);
});

test("the late will of an earlier process start is ignored", () => {
  const { clock, roster } = setUp();
  roster.hello("a", "boot-1", PROFILE);
  assert.equal(roster.hello("a", "boot-2", PROFILE), "joined", "a restart is an arrival");
  roster.cutOff("a", "boot-1");
  clock.advance(200);
  assert.deepEqual(roster.expire(), []);
});

test("a process start that was replaced and speaks again is a second device with the same id", () => {
  const { roster } = setUp();
  roster.hello("a", "boot-1", PROFILE);
  roster.hello("a", "boot-2", PROFILE);
  assert.equal(roster.hello("a", "boot-1", PROFILE), "displaced");
  assert.equal(roster.hello("a", "boot-2", PROFILE), "known");
});

test("goodbye counts once, and a fresh lease for all keeps everyone who is here", () => {
  const { clock, roster } = setUp();
  for (const id of ["a", "b"]) roster.hello(id, `boot-${id}`, PROFILE);
  assert.equal(roster.bye("a"), true);
  assert.equal(roster.bye("a"), false);
  clock.advance(290);
  roster.renewAll();
  clock.advance(290);
  assert.deepEqual(roster.expire(), []);
  clock.advance(20);
  assert.deepEqual(roster.expire(), [{ device: "b", reason: "silent" }]);
});

test("what a device has for tensors is remembered as long as its process lives", () => {
  const { roster } = setUp();
  roster.hello("a", "boot-1", PROFILE);
  roster.limitTensors("a", 5e6);
  roster.limitTensors("stranger", 1);
  roster.hello("a", "boot-1", { ...PROFILE, hasBase: true });
  assert.deepEqual(roster.profile("a"), { ...PROFILE, hasBase: true, tensorBytes: 5e6 });
  roster.hello("a", "boot-2", PROFILE);
  assert.deepEqual(roster.profile("a"), PROFILE);
  assert.equal(roster.profile("stranger"), undefined);
});
