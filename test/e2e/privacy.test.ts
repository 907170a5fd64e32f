/** Data stays on the device: marked texts are looked for in every message, every log and a crash report of a real fleet. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { gunzipSync, inflateSync, brotliDecompressSync } from "node:zlib";
import { FRAME_HEADER_BYTES } from "../../src/protocol/frame.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { tappedBroker } from "../support/broker-tap.ts";
import { eventually } from "../support/eventually.ts";
import { NodeProcess } from "../support/node-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { tinyWords } from "../support/tiny-model.ts";
import { tinyFleetModel } from "../support/tiny-fleet-model.ts";

const LIMIT_MS = 120_000;

/** Words that no program of ours contains, beside words that the tokenizer knows, so that the ids are not all unknown. */
const secrets = ["zyxwvut-patient", "qqmarkqq", "Überwachungsgeheimnis"];
const known = tinyWords.slice(2, 14);

interface Row {
  readonly text: string;
  readonly label: string;
}

function rowsOf(labels: readonly string[]): Row[] {
  return Array.from({ length: 18 }, (_, i) => {
    const words = [0, 5, 7, 3].map((step) => known[(i * 5 + step) % known.length] ?? "");
    return {
      text: `${words.join(" ")} ${secrets[i % secrets.length]} ${words.reverse().join(" ")}`,
      label: labels[i % labels.length] ?? "",
    };
  });
}

/** What must not be found: marked words, whole texts, and runs of token ids in every form that numbers are sent in. */
function traces(rows: readonly Row[], base: string): { what: string; bytes: Buffer }[] {
  const tokenizer = loadTokenizer(base);
  const words = secrets.map((word) => ({ what: `word ${word}`, bytes: Buffer.from(word) }));
  const texts = rows.map(({ text }) => ({ what: "a text", bytes: Buffer.from(text) }));
  const ids = rows.flatMap(({ text }) => {
    const run = tokenizer.encode(text, { maxTokens: 24 }).ids.slice(1, 7);
    assert.equal(new Set(run).size > 2, true, "the ids tell nothing");
    return [
      Buffer.from(run.join(",")),
      Buffer.from(run.join(", ")),
      Buffer.from(run.join(" ")),
      Buffer.from(Uint8Array.from(run)),
      Buffer.from(Uint16Array.from(run).buffer),
      Buffer.from(Int32Array.from(run).buffer),
      Buffer.from(Float32Array.from(run).buffer),
    ].map((bytes) => ({ what: `token ids ${run.join(" ")}`, bytes }));
  });
  return [...words, ...texts, ...ids];
}

/** The bytes, and what they hold when they are compressed, as a whole or behind the header of a frame. */
function readings(bytes: Buffer): Buffer[] {
  const found = [bytes];
  for (const start of [0, FRAME_HEADER_BYTES]) {
    for (const open of [gunzipSync, inflateSync, brotliDecompressSync]) {
      try {
        found.push(open(bytes.subarray(start), { maxOutputLength: 4_000_000 }));
      } catch {
        continue;
      }
    }
  }
  return found;
}

function expectNone(where: string, bytes: Buffer, wanted: ReturnType<typeof traces>): void {
  for (const reading of readings(bytes)) {
    for (const { what, bytes: trace } of wanted) {
      assert.ok(!reading.includes(trace), `${what} in ${where}`);
    }
  }
}

function startDevice(t: TestContext, config: string, env: NodeJS.ProcessEnv = {}) {
  const child = new NodeProcess<never>(
    "src/cli/main.js",
    ["device", "--config", config, "--verbose"],
    env,
  );
  t.after(() => child.kill());
  return child;
}

test("no text and no run of token ids leaves a device, be it in messages, logs or a crash report", async (t) => {
  const folder = temporaryFolder(t);
  const { url, messages } = await tappedBroker(t);
  const { base, labels } = tinyFleetModel(join(folder, "model"));
  const rows = rowsOf(labels);
  const wanted = traces(rows, base);
  const reports = join(folder, "reports");
  mkdirSync(reports);
  const deviceFile = (id: string, data: readonly Row[]): string => {
    const path = join(folder, `${id}.json`);
    const table = join(folder, `${id}.jsonl`);
    writeFileSync(table, data.map((row) => `${JSON.stringify(row)}\n`).join(""));
    writeFileSync(path, JSON.stringify({ id, broker: url, data: table, stateFolder: id }));
    return path;
  };
  const coordinatorFile = join(folder, "coordinator.json");
  const plan = { steps: 4, batchSize: 3, maxTokens: 24, targets: "all-linear", rank: 2, alpha: 4 };
  const run = { broker: url, runFolder: "run", base, labels, plan, rounds: 3, minDevices: 3 };
  writeFileSync(coordinatorFile, JSON.stringify({ ...run, quorum: 0.5, heartbeatMs: 1000 }));
  const coordinator = new NodeProcess<{ event?: { kind: string; device?: string } }>(
    "src/cli/main.js",
    ["coordinator", "--config", coordinatorFile, "--json"],
  );
  t.after(() => coordinator.kill());
  // A signal makes this one fail as a bug in any of its handlers would.
  const fault = "process.on('SIGHUP',()=>{throw new Error('forced')})";
  const crashing = `--import=data:text/javascript,${encodeURIComponent(fault)}`;
  const reporting = `--report-uncaught-exception --report-directory=${reports}`;
  const doomed = startDevice(t, deviceFile("d", rows), {
    NODE_OPTIONS: `${crashing} ${reporting}`,
  });
  const devices = [
    startDevice(t, deviceFile("a", rows)),
    startDevice(t, deviceFile("b", rows.slice(3))),
    // One whose data do not fit: the reason that it reports must not quote them.
    startDevice(t, deviceFile("c", [...rows, { text: "fan", label: `${secrets[1]} label` }])),
  ];
  const heard = (kind: string): boolean =>
    coordinator.lines.some(({ event }) => event?.kind === kind);
  await eventually(
    "the one that will crash trains",
    () => /training/.test(doomed.errors),
    LIMIT_MS,
  );
  await eventually("an update has come", () => heard("update-received"), LIMIT_MS);
  await eventually("c has failed", () => heard("device-failed"), LIMIT_MS);
  doomed.signal("SIGHUP");
  assert.notEqual(await doomed.exited, 0);
  assert.match(doomed.errors, /forced/);
  assert.equal(readdirSync(reports).length, 1);
  assert.equal(await coordinator.exited, 0, coordinator.errors);
  await Promise.all(devices.slice(0, 2).map((device) => device.exited));
  assert.ok(messages.length > 20 && messages.some(({ topic }) => topic.endsWith("/put")));
  // The search finds what is there.
  assert.throws(
    () => expectNone("a probe", Buffer.from(`x ${rows[0]?.text}`), wanted),
    /in a probe/,
  );
  for (const { topic, payload } of messages) expectNone(topic, payload, wanted);
  for (const device of [...devices.slice(0, 2), doomed]) {
    expectNone("a log", Buffer.from(device.errors), wanted);
  }
  expectNone("the coordinator's log", Buffer.from(coordinator.errors), wanted);
  expectNone("its events", Buffer.from(JSON.stringify(coordinator.lines)), wanted);
  for (const file of readdirSync(reports)) {
    expectNone(file, readFileSync(join(reports, file)), wanted);
  }
});
