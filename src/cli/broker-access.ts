/** Opens the broker of a config file with the credentials of the environment. */
import { readFileSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import { ConfigError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { mqttTransportFactory } from "../transport/mqtt.ts";
import type { TransportFactory } from "../transport/transport.ts";

/** Secrets come by environment only: FEDSPINE_BROKER_USERNAME, _PASSWORD, and files in _CA, _CERT, _KEY. */
export function brokerAccess(
  url: string,
  rng: Rng,
  onFault: (text: string) => void,
): TransportFactory {
  const username = process.env["FEDSPINE_BROKER_USERNAME"];
  const password = process.env["FEDSPINE_BROKER_PASSWORD"];
  const tls = {
    ...pem("ca", "FEDSPINE_BROKER_CA"),
    ...pem("cert", "FEDSPINE_BROKER_CERT"),
    ...pem("key", "FEDSPINE_BROKER_KEY"),
  };
  return mqttTransportFactory({
    url,
    clock: systemClock,
    rng,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    onFault: (fault) => onFault(fault.message),
  });
}

function pem(
  field: "ca" | "cert" | "key",
  variable: string,
): Partial<Record<typeof field, string>> {
  const path = process.env[variable];
  if (path === undefined) return {};
  try {
    return { [field]: readFileSync(path, "utf8") };
  } catch (cause) {
    throw new ConfigError(`${variable}: cannot read ${path}`, { cause });
  }
}
