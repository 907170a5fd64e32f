/** `fedspine devices`: who is in the fleet, who wants to be, and the decisions on both. */
import { resolve } from "node:path";
import Table from "cli-table3";
import { Argument, Command } from "commander";
import { systemClock } from "../../base/clock.ts";
import { ConfigError } from "../../base/errors.ts";
import { FleetFolder } from "../../security/fleet-folder.ts";
import { keyText } from "../../security/keys.ts";
import type { Entry } from "../../security/register.ts";
import { print, printJson } from "../output.ts";

const ACTIONS = ["list", "accept", "reject", "revoke", "token"] as const;
type Action = (typeof ACTIONS)[number];

interface Options {
  fleetFolder: string;
  json?: boolean;
}

export function command(): Command {
  return new Command()
    .description("List the devices of a fleet; accept, reject or revoke one, or give it a token")
    .addArgument(new Argument("<action>", "what to do").choices(ACTIONS))
    .argument("[device]", "its id")
    .option("--fleet-folder <dir>", "keys of the fleet", "fleet")
    .option("--json", "one JSON line per device")
    .action(run);
}

function run(action: Action, device: string | undefined, options: Options): void {
  const fleet = FleetFolder.open(resolve(options.fleetFolder));
  if (action === "list") return list(fleet, options);
  if (device === undefined) throw new ConfigError(`which device shall ${action} be done to?`);
  const nowMs = systemClock.nowMs();
  if (action === "token") {
    const token = fleet.register.issueToken(device, nowMs);
    if (options.json === true) return printJson({ device, token });
    return print(`${token}\nshown once; the device gives it as FEDSPINE_BROKER_PASSWORD`);
  }
  const entry = decide(fleet, action, device, nowMs);
  if (options.json === true) return printJson(shown(entry));
  print(`${device} is ${entry.state}`);
}

function decide(
  fleet: FleetFolder,
  action: "accept" | "reject" | "revoke",
  device: string,
  nowMs: number,
): Entry {
  const { register } = fleet;
  if (action === "accept") return register.accept(device, fleet.issuer(), nowMs);
  return action === "reject" ? register.reject(device, nowMs) : register.revoke(device, nowMs);
}

function list(fleet: FleetFolder, { json }: Options): void {
  const devices = fleet.register.devices().map(shown);
  if (json === true) return devices.forEach(printJson);
  if (devices.length === 0) return print("no device has enrolled yet");
  const table = new Table({ head: ["device", "state", "type", "asks", "key", "since"] });
  for (const { device, state, type, asks, key, since } of devices) {
    table.push([device, state, type, asks === null ? "" : `from ${asks}`, key, since]);
  }
  print(table.toString());
}

interface Shown {
  readonly device: string;
  readonly state: string;
  readonly type: string;
  /** Address of an open request. */
  readonly asks: string | null;
  /** Of the open request, else of the device. */
  readonly key: string;
  readonly hasToken: boolean;
  readonly since: string;
}

function shown({ id, state, type, request, signKey, tokenHash, changedAtMs }: Entry): Shown {
  const key = request?.signKey ?? signKey;
  return {
    device: id,
    state,
    type: request?.type ?? type,
    asks: request?.address ?? null,
    key: key === null ? "" : keyText(key),
    hasToken: tokenHash !== null,
    since: new Date(changedAtMs).toISOString(),
  };
}
