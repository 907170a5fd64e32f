/** `fedspine fleet`: make the keys of a fleet, or show what they are. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Argument, Command } from "commander";
import { systemClock } from "../../base/clock.ts";
import { ConfigError } from "../../base/errors.ts";
import { isId } from "../../protocol/topics.ts";
import { FleetFolder } from "../../security/fleet-folder.ts";
import { print, printJson } from "../output.ts";
import { DEFAULT_ENROLMENT_PORT } from "../enrolment-desk-run.ts";

interface Options {
  fleetFolder: string;
  name: string;
  host?: string[];
  broker?: string;
  enrollment?: string;
  json?: boolean;
}

const BROKER_PORT = 8883;

export function command(): Command {
  return new Command()
    .description("Make the keys of a fleet (authority, broker, coordinator), or show what they are")
    .addArgument(new Argument("<action>", "what to do").choices(["create", "show"]))
    .option(
      "--fleet-folder <dir>",
      "where the keys are kept; it never leaves this machine",
      "fleet",
    )
    .option("--name <fleet>", "name of the fleet", "fedspine")
    .option("--host <name...>", "names and addresses that devices reach this machine by")
    .option("--broker <url>", "what devices connect to (default: mqtts://HOST:8883)")
    .option("--enrollment <url>", "where devices enrol (default: https://HOST:8884)")
    .option("--json", "one JSON line")
    .action(run);
}

function run(action: "create" | "show", options: Options): void {
  const path = resolve(options.fleetFolder);
  const fleet = action === "create" ? create(path, options) : FleetFolder.open(path);
  const server = new X509Certificate(readFileSync(fleet.serverFiles.cert));
  const { fleet: name, hosts, broker, enrolment } = fleet.info;
  const validUntil = new Date(server.validTo).toISOString();
  const known = { name, hosts, broker, enrolment, coordinatorKey: fleet.coordinatorKey };
  const record = { ...known, validUntil, devices: fleet.register.devices().length };
  if (options.json === true) return printJson(record);
  print(`fleet ${name} in ${path}`);
  print(
    `hosts: ${hosts.join(", ")}; the certificates of broker and coordinator hold until ${validUntil}`,
  );
  print(`broker: ${broker}; enrolment: ${enrolment}; ${record.devices} devices`);
  print(`coordinator key: ${fleet.coordinatorKey}`);
}

function create(path: string, { name, host: hosts, broker, enrollment }: Options): FleetFolder {
  const [first] = hosts ?? [];
  if (hosts === undefined || first === undefined) {
    throw new ConfigError("a fleet needs the addresses that its devices reach this machine by", {
      hint: "give them with --host, for example --host 192.168.1.10 gateway-hub.local",
    });
  }
  if (!isId(name)) {
    throw new ConfigError("this cannot be the name of a fleet", {
      expected: "1 to 64 characters of A-Z a-z 0-9 _ -",
      got: JSON.stringify(name),
    });
  }
  const at = first.includes(":") ? `[${first}]` : first;
  const info = {
    fleet: name,
    hosts,
    broker: broker ?? `mqtts://${at}:${BROKER_PORT}`,
    enrolment: enrollment ?? `https://${at}:${DEFAULT_ENROLMENT_PORT}`,
  };
  return FleetFolder.create(path, info, systemClock.nowMs());
}
