/** Enrolment from code to certificate: over real HTTPS, and at the desk with a clock that the test moves. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createServer } from "node:tls";
import type { AddressInfo } from "node:net";
import { ManualClock, systemClock } from "../../src/base/clock.ts";
import { ConfigError, TransportError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { CredentialStore } from "../../src/security/device-credentials.ts";
import { enrol } from "../../src/security/enrolment-client.ts";
import {
  CodeStore,
  codeText,
  parseCode,
  serverFingerprint,
} from "../../src/security/enrolment-code.ts";
import { type DeskEvent, EnrolmentDesk } from "../../src/security/enrolment-desk.ts";
import { type EnrolmentDemand, enrolmentDemand } from "../../src/security/enrolment-messages.ts";
import { serveEnrolment } from "../../src/security/enrolment-server.ts";
import { newKeyPair, publicText } from "../../src/security/keys.ts";
import { eventually } from "../support/eventually.ts";
import { TestFleet, access } from "../support/fleet-folder.ts";
import { must } from "../support/must.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const MINUTE_MS = 60_000;

interface Ticket {
  device?: string | null;
  preauthorised?: boolean;
}

/** A fleet with a desk. */
class Office {
  readonly clock: ManualClock | typeof systemClock;
  readonly fleet: TestFleet;
  readonly desk: EnrolmentDesk;
  readonly events: DeskEvent[] = [];

  constructor(t: TestContext, clock: ManualClock | typeof systemClock = systemClock) {
    this.clock = clock;
    this.fleet = new TestFleet(t);
    const onEvent = (event: DeskEvent): void => void this.events.push(event);
    this.desk = new EnrolmentDesk({ fleet: this.fleet.folder, clock, onEvent });
  }

  code({ device = null, preauthorised = false }: Ticket = {}): string {
    const nowMs = this.clock.nowMs();
    const ticket = { expiresAtMs: nowMs + 15 * MINUTE_MS, device, preauthorised };
    const secret = new CodeStore(this.fleet.folder.codesFolder).issue(ticket, nowMs);
    const server = new X509Certificate(readFileSync(this.fleet.folder.serverFiles.cert));
    return codeText({ secret, fingerprint: serverFingerprint(server) });
  }

  ask(demand: EnrolmentDemand, address = "10.0.0.1") {
    return this.desk.answer(Buffer.from(JSON.stringify(demand)), address);
  }
}

function keys() {
  return { tls: newKeyPair("tls"), signing: newKeyPair("signing") };
}

function demandFor(code: string, own = keys(), device: string | null = null): EnrolmentDemand {
  return enrolmentDemand({ secret: parseCode(code).secret, device, type: "gateway" }, own);
}

test("a device enrols over HTTPS, waits for the decision, and gets into the broker with what it received", async (t) => {
  const office = new Office(t);
  const { folder } = office.fleet;
  const { desk } = office;
  const files = folder.serverFiles;
  const server = await serveEnrolment({ desk, files, host: "127.0.0.1", port: 0 });
  t.after(() => server.close());
  const stateFolder = temporaryFolder(t);
  const store = new CredentialStore(stateFolder);
  assert.equal(store.load(), null);
  const url = `https://127.0.0.1:${server.port}`;
  const code = parseCode(office.code());
  let pending = "";
  const options = { url, code, device: "gw-7", type: "board", store, pollMs: 20 };
  const enrolling = enrol({ ...options, onPending: (id) => (pending = id) });
  await eventually("the request", () => pending === "gw-7");
  const broker = await office.fleet.broker(t);
  const [waiting] = folder.register.devices();
  assert.deepEqual([waiting?.id, waiting?.state, waiting?.type], ["gw-7", "pending", "board"]);
  folder.register.accept("gw-7", folder.issuer(), Date.now());
  assert.equal(await enrolling, "gw-7");
  const credentials = must(store.load());
  assert.deepEqual([credentials.device, credentials.fleet], ["gw-7", "plant"]);
  assert.equal(publicText(credentials.coordinatorKey), folder.coordinatorKey);
  const factory = access(`mqtts://127.0.0.1:${broker.port}`, { tls: credentials.tls });
  const connection = await factory.connect({ clientId: "gw-7", clean: true, keepaliveSeconds: 30 });
  await connection.close();
  const secretFiles = readdirSync(join(stateFolder, "credentials"));
  assert.deepEqual(secretFiles, ["member.json"]);
  assert.equal(statSync(join(stateFolder, "credentials", "member.json")).mode & 0o777, 0o600);
  assert.equal(statSync(join(stateFolder, "credentials")).mode & 0o777, 0o700);
  assert.deepEqual(
    office.events.map(({ kind }) => kind),
    ["asked", "delivered"],
  );
});

test("a server with another key than the code names is told nothing", async (t) => {
  const [office, impostor] = [new Office(t), new Office(t)];
  const { cert, key } = impostor.fleet.folder.serverFiles;
  let received = 0;
  const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
    socket.on("data", (bytes: Buffer) => (received += bytes.byteLength));
    socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const attempt = enrol({
    url: `https://127.0.0.1:${port}`,
    code: parseCode(office.code()),
    device: null,
    type: "x",
    store: new CredentialStore(temporaryFolder(t)),
    pollMs: 10,
    onPending: () => undefined,
  });
  await assert.rejects(attempt, (error) => {
    return error instanceof TransportError && /another key than the code names/.test(error.message);
  });
  assert.equal(received, 0);
});

test("a code works once, for fifteen minutes, and only for the keys that used it first", (t) => {
  const clock = new ManualClock(Date.now());
  const office = new Office(t, clock);
  const [code, own] = [office.code(), keys()];
  const first = office.ask(demandFor(code, own, "a"));
  assert.deepEqual(first, { state: "pending", device: "a" });
  assert.deepEqual(office.ask(demandFor(code, own, "a")), first);
  const refused = { state: "refused", reason: "wrong-code" };
  assert.deepEqual(office.ask(demandFor(code, keys(), "b")), refused);
  const late = office.code();
  clock.advance(15 * MINUTE_MS + 1);
  assert.deepEqual(office.ask(demandFor(late)), refused);
  // The decision on a request may take longer than its code lives.
  assert.deepEqual(office.ask(demandFor(code, own, "a")), first);
  office.fleet.folder.register.reject("a", clock.nowMs());
  assert.deepEqual(office.ask(demandFor(code, own, "a")), { state: "rejected", device: "a" });
});

test("a preauthorised code needs nobody, and one for a device names it and may replace it", (t) => {
  const office = new Office(t);
  const { register } = office.fleet.folder;
  const first = office.ask(demandFor(office.code({ preauthorised: true }), keys(), "a"));
  assert.equal(first.state, "accepted");
  const old = must(register.find("a"));
  assert.deepEqual(office.ask(demandFor(office.code(), keys(), "a")), {
    state: "refused",
    reason: "id-taken",
  });
  const own = keys();
  const code = office.code({ device: "a" });
  assert.deepEqual(office.ask(demandFor(code, own, "other")), { state: "pending", device: "a" });
  assert.deepEqual(register.find("a")?.certificates, old.certificates);
  register.accept("a", office.fleet.folder.issuer(), Date.now());
  assert.equal(office.ask(demandFor(code, own, "other")).state, "accepted");
  assert.notDeepEqual(register.find("a")?.certificates, old.certificates);
  const drawn = office.ask(demandFor(office.code({ preauthorised: true })));
  assert.match(drawn.state === "accepted" ? drawn.device : "", /^device-[0-9a-f]{12}$/);
});

test("nobody enrols as the coordinator, with a name that is none, or with keys that it does not hold", (t) => {
  const office = new Office(t);
  const reasonFor = (demand: object): string => {
    const answer = office.desk.answer(Buffer.from(JSON.stringify(demand)), "10.0.0.9");
    return answer.state === "refused" ? answer.reason : answer.state;
  };
  const code = office.code({ preauthorised: true });
  assert.equal(reasonFor(demandFor(code, keys(), "coordinator")), "id-taken");
  assert.equal(reasonFor({ ...demandFor(code), device: "../x" }), "malformed");
  const [mine, theirs] = [demandFor(code), demandFor(code)];
  assert.equal(reasonFor({ ...mine, tlsKey: theirs.tlsKey }), "bad-proof");
  assert.equal(reasonFor({ ...mine, signKey: theirs.signKey }), "bad-proof");
  assert.equal(reasonFor({ ...mine, device: "b" }), "bad-proof");
  assert.equal(reasonFor({ ...mine, tlsKey: mine.signKey }), "malformed");
  assert.equal(reasonFor({ ...mine, v: 2 }), "malformed");
  assert.equal(office.desk.answer(Buffer.from("{"), "10.0.0.9").state, "refused");
  assert.deepEqual(office.fleet.folder.register.devices(), []);
  assert.equal(reasonFor(mine), "accepted");
});

test("who guesses codes is slowed down, others are not", (t) => {
  const clock = new ManualClock(Date.now());
  const office = new Office(t, clock);
  const fingerprint = parseCode(office.code()).fingerprint;
  const wrong = demandFor(codeText({ secret: "0".repeat(16), fingerprint }));
  const reasons = Array.from({ length: 8 }, () => {
    const answer = office.ask(wrong, "10.9.9.9");
    return answer.state === "refused" ? answer.reason : "";
  });
  assert.deepEqual(reasons.slice(0, 5), Array<string>(5).fill("wrong-code"));
  assert.deepEqual(reasons.slice(5), Array<string>(3).fill("too-many-attempts"));
  const right = demandFor(office.code({ preauthorised: true }), keys(), "a");
  assert.deepEqual(office.ask(right, "10.9.9.9").state, "refused");
  assert.equal(office.ask(right, "10.0.0.1").state, "accepted");
  clock.advance(MINUTE_MS);
  assert.equal(office.ask(right, "10.9.9.9").state, "accepted");
});

test("codes are kept as hashes, are typed forgivingly, and no mutated request enrols anybody", (t) => {
  const office = new Office(t);
  const code = office.code();
  const { secret, fingerprint } = parseCode(code);
  const kept = readdirSync(office.fleet.folder.codesFolder).map((file) =>
    readFileSync(join(office.fleet.folder.codesFolder, file), "utf8").concat(file),
  );
  assert.equal(kept.length, 1);
  assert.ok(!kept.join().includes(secret));
  assert.match(code, /^FS1(-[0-9A-HJKMNP-TV-Z]{6}){6}$/);
  const sloppy = code
    .toLowerCase()
    .replaceAll("0", "o")
    .replaceAll("1-", "l-")
    .replace("fsl", "fs1");
  assert.deepEqual(parseCode(` ${sloppy.replaceAll("-", " ")} `), { secret, fingerprint });
  for (const text of ["", "FS1", code.slice(0, -1), `${code}0`, code.replace("FS1", "FS2")]) {
    assert.throws(() => parseCode(text), ConfigError, text);
  }
  const rng = Rng.fromSeed("enrolment");
  const whole = Buffer.from(JSON.stringify(demandFor(code)));
  for (let i = 0; i < 500; i++) {
    const mutant = Buffer.from(whole);
    for (let m = 0; m <= rng.int(3); m++) mutant[rng.int(mutant.byteLength)] = rng.int(256);
    if (mutant.equals(whole)) continue;
    assert.equal(office.desk.answer(mutant, `10.1.${i >> 8}.${i & 255}`).state, "refused");
  }
});
