/** `fedspine enroll`: on the coordinator's machine print a one-time code; on a device, use one. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { systemClock } from "../../base/clock.ts";
import { ConfigError } from "../../base/errors.ts";
import { parseDeviceConfig } from "../../device/config.ts";
import { CredentialStore } from "../../security/device-credentials.ts";
import { enrol } from "../../security/enrolment-client.ts";
import {
  CodeStore,
  codeText,
  parseCode,
  serverFingerprint,
} from "../../security/enrolment-code.ts";
import { FleetFolder } from "../../security/fleet-folder.ts";
import { keyText, publicText } from "../../security/keys.ts";
import { readConfigFile } from "../config-file.ts";
import { DEFAULT_ENROLMENT_PORT, openEnrolment } from "../enrolment-desk-run.ts";
import { integer } from "../options.ts";
import { note, print, printJson } from "../output.ts";

interface Options {
  fleetFolder: string;
  device?: string;
  preauthorised?: boolean;
  serve?: boolean;
  host: string;
  port: number;
  code?: string;
  url?: string;
  config?: string;
  json?: boolean;
}

const CODE_MINUTES = 15;
const POLL_MS = 3000;

export function command(): Command {
  return new Command()
    .description("Print a one-time code for a new device; with --code, be that device")
    .option("--fleet-folder <dir>", "keys of the fleet", "fleet")
    .option("--device <id>", "only for this device, which may be known already")
    .option("--preauthorised", "whoever has the code is accepted without a further decision")
    .option("--serve", "take enrolments here until the code has run out, for an external broker")
    .option("--host <address>", "address to take enrolments on", "127.0.0.1")
    .option("--port <n>", "HTTPS port to take enrolments on", integer(0), DEFAULT_ENROLMENT_PORT)
    .option("--code <code>", "on the device: the code that was printed")
    .option("--url <url>", "on the device: where the fleet takes enrolments")
    .option("--config <file>", "on the device: its device.json")
    .option("--json", "one JSON line")
    .action((options: Options) =>
      options.code === undefined ? printCode(options) : useCode(options.code, options),
    );
}

async function printCode(options: Options): Promise<void> {
  const fleet = FleetFolder.open(resolve(options.fleetFolder));
  const nowMs = systemClock.nowMs();
  const expiresAtMs = nowMs + CODE_MINUTES * 60_000;
  const { device = null, preauthorised = false } = options;
  const ticket = { expiresAtMs, device, preauthorised };
  const secret = new CodeStore(fleet.codesFolder).issue(ticket, nowMs);
  const server = new X509Certificate(readFileSync(fleet.serverFiles.cert));
  const code = codeText({ secret, fingerprint: serverFingerprint(server) });
  const { enrolment: url } = fleet.info;
  if (options.json === true) printJson({ code, url, expiresAtMs, device, preauthorised });
  else {
    print(`code: ${code}`);
    print(`works once, for ${CODE_MINUTES} minutes; on the device:`);
    print(`  npx fedspine enroll --code ${code} --url ${url} --config device.json`);
    if (!preauthorised) print("then, here: npx fedspine devices accept DEVICE");
  }
  if (options.serve !== true) return;
  const enrolment = await openEnrolment(fleet, options);
  await new Promise<void>((done) => {
    const stop = systemClock.after(expiresAtMs - systemClock.nowMs(), done);
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => {
        stop.cancel();
        done();
      });
    }
  });
  await enrolment.close();
}

async function useCode(code: string, options: Options): Promise<void> {
  const { url, config: path } = options;
  if (url === undefined || path === undefined) {
    throw new ConfigError("enrolling a device needs to know where, and the device's settings", {
      expected: "--url and --config beside --code",
    });
  }
  const config = parseDeviceConfig(readConfigFile(path, ["data", "stateFolder"]));
  const store = new CredentialStore(config.stateFolder);
  const { signing } = store.nextKeys();
  const device = await enrol({
    url,
    code: parseCode(code),
    device: config.id ?? null,
    type: config.type,
    store,
    pollMs: POLL_MS,
    onPending: (id) => {
      note(`${id} waits to be accepted; its key is ${keyText(publicText(signing.publicKey))}`);
    },
  });
  const { fleet, broker } = store.load() ?? {};
  if (options.json === true) {
    printJson({ device, fleet, broker });
    return;
  }
  print(`${device} is enrolled in fleet ${fleet} and connects to ${broker}`);
}
