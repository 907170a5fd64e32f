/** Opens the broker of a config file with the credentials of its keys, of the command line, and of the environment. */
import { readFileSync } from "node:fs";
import { systemClock } from "../base/clock.ts";
import { ConfigError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { mqttTransportFactory } from "../transport/mqtt.ts";
import type { TransportFactory } from "../transport/transport.ts";

/** PEM texts. */
export interface TlsTexts {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Settings that name PEM files. */
export interface TlsPaths {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface BrokerAccessOptions {
  readonly url: string;
  readonly rng: Rng;
  readonly onFault: (text: string) => void;
  /** What the fleet's own keys give; files of the settings and of the environment come first. */
  readonly own?: TlsTexts;
  readonly paths?: TlsPaths;
}

const FIELDS = ["ca", "cert", "key"] as const;

/** Passwords and tokens come by environment only: FEDSPINE_BROKER_USERNAME, _PASSWORD; files also in _CA, _CERT, _KEY. */
export function brokerAccess(options: BrokerAccessOptions): TransportFactory {
  const { url, rng, onFault, own, paths } = options;
  return mqttTransportFactory({
    url,
    clock: systemClock,
    rng,
    ...brokerCredentials(paths, own),
    onFault: (fault) => onFault(fault.message),
  });
}

/** What shows the broker who we are: name and password of the environment, and PEM texts where there are any. */
export function brokerCredentials(
  paths: TlsPaths = {},
  own: TlsTexts = {},
): { readonly username?: string; readonly password?: string; readonly tls?: TlsTexts } {
  const username = process.env["FEDSPINE_BROKER_USERNAME"];
  const password = process.env["FEDSPINE_BROKER_PASSWORD"];
  const tls: TlsTexts = { ...own, ...textsOf(paths) };
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  };
}

/** Throws ConfigError for a file that cannot be read, and for a certificate without its key. */
function textsOf(paths: TlsPaths): TlsTexts {
  const chosen = FIELDS.flatMap((field) => {
    const path = paths[field] ?? process.env[`FEDSPINE_BROKER_${field.toUpperCase()}`];
    return path === undefined ? [] : [{ field, path }];
  });
  const texts: TlsTexts = Object.fromEntries(
    chosen.map(({ field, path }) => [field, readPem(field, path)]),
  );
  if ((texts.cert === undefined) === (texts.key === undefined)) return texts;
  throw new ConfigError("a certificate and its key belong together", {
    expected: "cert and key, or neither",
    got: texts.cert === undefined ? "a key alone" : "a certificate alone",
  });
}

/** The texts of files that must be there. Throws ConfigError. */
export function textsOfFiles(files: Required<TlsPaths>): Required<TlsTexts> {
  const { ca, cert, key } = files;
  return { ca: readPem("ca", ca), cert: readPem("cert", cert), key: readPem("key", key) };
}

function readPem(field: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`${field}: cannot read ${path}`, { cause });
  }
}
