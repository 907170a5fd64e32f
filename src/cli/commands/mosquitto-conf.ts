/** `fedspine broker mosquitto-conf`: writes the mosquitto configuration that fedspine is tested with. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { FleetFolder, type TlsFiles } from "../../security/fleet-folder.ts";
import { mosquittoAcl, mosquittoConf } from "../mosquitto-conf.ts";
import { integer } from "../options.ts";
import { print } from "../output.ts";

interface Options {
  out: string;
  fleetFolder?: string;
  port?: number;
  host: string;
  persistence?: string;
}

const PLAIN_PORT = 1883;
const TLS_PORT = 8883;

export function mosquittoConfCommand(): Command {
  return new Command("mosquitto-conf")
    .description("Write mosquitto.conf and, for a fleet with keys, its access rules")
    .requiredOption("--out <folder>", "where mosquitto.conf and acl go")
    .option("--fleet-folder <dir>", "keys of a fleet: TLS, and each device to its own topics")
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--port <n>", "port to listen on (default: 1883, with TLS 8883)", integer(1))
    .option("--persistence <folder>", "keep sessions across restarts in this folder")
    .action(run);
}

function run({ out, fleetFolder, port, host, persistence }: Options): void {
  const folder = resolve(out);
  const fleet = fleetFolder === undefined ? undefined : FleetFolder.open(resolve(fleetFolder));
  const tls = fleet?.serverFiles satisfies TlsFiles | undefined;
  // Rules tell identities apart, which only certificates prove.
  const aclFile = tls === undefined ? undefined : join(folder, "acl");
  const persistenceFolder = persistence === undefined ? undefined : resolve(persistence);
  const listener = { host, port: port ?? (tls === undefined ? PLAIN_PORT : TLS_PORT) };
  mkdirSync(folder, { recursive: true });
  const conf = join(folder, "mosquitto.conf");
  writeFileSync(conf, mosquittoConf({ ...listener, tls, aclFile, persistenceFolder }));
  if (fleet !== undefined && aclFile !== undefined) {
    writeFileSync(aclFile, mosquittoAcl(fleet.info.fleet));
  }
  print(`written ${conf}${aclFile === undefined ? "" : ` and ${aclFile}`}`);
  print(`start it with: mosquitto -c ${conf}`);
  if (tls !== undefined && process.getuid?.() === 0) {
    print(
      `started by root, mosquitto becomes another user: let that one read ${tls.key} and ${folder}`,
    );
  }
}
