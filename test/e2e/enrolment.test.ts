/** From an empty folder to a trained fleet with the commands of the README: keys, broker, codes, decisions, run, revocation. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { fedspine, fedspineJson } from "../support/command.ts";
import { must } from "../support/must.ts";
import { NodeProcess } from "../support/node-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { tinyFleetModel } from "../support/tiny-fleet-model.ts";

const LIMIT_MS = 60_000;

interface Ready {
  readonly listening: { readonly port: number };
}

/** A running `fedspine` command that speaks JSON lines. */
function start<Line>(t: TestContext, args: readonly string[]): NodeProcess<Line> {
  const child = new NodeProcess<Line>("src/cli/main.js", args);
  t.after(() => child.kill());
  return child;
}

async function field<T>(args: readonly string[], name: string): Promise<T> {
  const [record] = await fedspineJson(args);
  return (record as Record<string, T>)[name] as T;
}

test("a fleet is made, enrolled, trained and cleared of a device with the commands alone", async (t) => {
  const folder = temporaryFolder(t);
  const keys = ["--fleet-folder", join(folder, "fleet")];
  await fedspineJson(["fleet", "create", ...keys, "--name", "plant", "--host", "127.0.0.1"]);
  const broker = start<Ready>(t, ["broker", ...keys, "--port", "0", "--enroll-port", "0"]);
  await eventually("the broker listens", () => broker.lines.length > 0, LIMIT_MS);
  const url = `mqtts://127.0.0.1:${must(broker.lines[0]).listening.port}`;
  const enrolment = must(/https:\/\/\S+/.exec(broker.errors))[0];
  const { base, labels, data } = tinyFleetModel(join(folder, "model"));
  const deviceFile = (id: string): string => {
    mkdirSync(join(folder, id));
    const path = join(folder, id, "device.json");
    const settings = { id, broker: url, data, stateFolder: "state", staysAfterRun: true };
    writeFileSync(path, JSON.stringify(settings));
    return path;
  };
  const files = { a: deviceFile("a"), b: deviceFile("b") };
  const use = (code: string, id: "a" | "b") =>
    fedspineJson(["enroll", "--code", code, "--url", enrolment, "--config", files[id]]);
  const beforehand = await field<string>(["enroll", ...keys, "--preauthorised"], "code");
  assert.deepEqual(await use(beforehand, "a"), [
    { device: "a", fleet: "plant", broker: "mqtts://127.0.0.1:8883" },
  ]);
  const enrolling = use(await field<string>(["enroll", ...keys], "code"), "b");
  const states = async (): Promise<string[]> =>
    (await fedspineJson(["devices", "list", ...keys])).map((entry) => {
      const { device, state } = entry as { device: string; state: string };
      return `${device} ${state}`;
    });
  await eventually("b asks", () => broker.errors.includes("b (gateway)"), LIMIT_MS);
  assert.deepEqual(await states(), ["a active", "b pending"]);
  await fedspineJson(["devices", "accept", "b", ...keys]);
  await enrolling;
  const coordinatorFile = join(folder, "coordinator.json");
  const plan = { steps: 2, batchSize: 2, maxTokens: 16, targets: "all-linear" };
  const run = { fleetFolder: "fleet", broker: url, runFolder: "run", base, labels, plan };
  writeFileSync(coordinatorFile, JSON.stringify({ ...run, rounds: 1, minDevices: 2 }));
  const coordinator = start<{ summary?: { ok: boolean; dropped: object } }>(t, [
    ...["coordinator", "--config", coordinatorFile, "--json"],
  ]);
  const devices = (["a", "b"] as const).map((id) =>
    start<never>(t, ["device", "--config", files[id], "--log-json"]),
  );
  assert.equal(await coordinator.exited, 0, coordinator.errors);
  const { summary } = must(coordinator.lines.at(-1));
  assert.deepEqual([summary?.ok, summary?.dropped], [true, {}]);
  // The one that is not revoked keeps its connection.
  await fedspineJson(["devices", "revoke", "a", ...keys]);
  const [a, b] = [must(devices[0]), must(devices[1])];
  await eventually("a is refused", () => /Bad username or password/.test(a.errors), LIMIT_MS);
  assert.doesNotMatch(b.errors, /Bad username/);
  assert.deepEqual(await states(), ["a revoked", "b active"]);
  const again = await fedspine(["device", "--config", files.a]);
  assert.match(again.stderr, /Bad username or password/);
  assert.equal(again.status, 69);
  const token = await field<string>(["devices", "token", "b", ...keys], "token");
  assert.ok(!readFileSync(join(folder, "fleet", "identities", "b.json"), "utf8").includes(token));
});

test("commands for a fleet say what is missing", async (t) => {
  const folder = join(temporaryFolder(t), "fleet");
  const keys = ["--fleet-folder", folder];
  for (const [args, told] of [
    [["enroll", ...keys], /no fleet in/],
    [["broker", ...keys], /fedspine fleet create/],
    [["fleet", "create", ...keys], /--host/],
    [["devices", "list", ...keys], /no fleet in/],
    [["enroll", "--code", "FS1-000000"], /--url and --config/],
    [["broker", "--host", "0.0.0.0", "--port", "0"], /--insecure/],
  ] as const) {
    const { status, stderr } = await fedspine(args);
    assert.equal(status, 64, stderr);
    assert.match(stderr, told);
  }
  await fedspineJson(["fleet", "create", ...keys, "--host", "127.0.0.1"]);
  const twice = await fedspine(["fleet", "create", ...keys, "--host", "127.0.0.1"]);
  assert.match(twice.stderr, /holds a fleet already/);
  const unknown = await fedspine(["devices", "accept", "nobody", ...keys]);
  assert.match(unknown.stderr, /no device has enrolled yet/);
});
