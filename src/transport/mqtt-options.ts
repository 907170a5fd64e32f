/** Where an MQTT broker is and how to get in; knows nothing of the library that does it. */
import type { Clock } from "../base/clock.ts";
import { ConfigError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import type { BackoffLimits } from "./backoff.ts";
import type { FaultListener } from "./subscriptions.ts";

export interface MqttOptions {
  /** mqtt://, mqtts://, ws:// or wss://, without credentials. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  /** PEM texts for mqtts and wss; the system's authorities when absent. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly clock: Clock;
  readonly rng: Rng;
  /** Default 1 s to 60 s. */
  readonly backoff?: BackoffLimits;
  /** Hears of refused reconnects and failing handlers. */
  readonly onFault?: FaultListener;
}

const URL_SCHEMES = ["mqtt:", "mqtts:", "ws:", "wss:"];

/** Throws ConfigError for a url that cannot be read, of another scheme, or with credentials in it. */
export function checkBrokerUrl(url: string): void {
  const { protocol, username, password, host } = parseUrl(url);
  if (!URL_SCHEMES.includes(protocol)) {
    throw new ConfigError("broker url has an unknown scheme", {
      expected: URL_SCHEMES.map((scheme) => `${scheme}//`).join(" "),
      got: `${protocol}//${host}`,
    });
  }
  if (username !== "" || password !== "") {
    throw new ConfigError("broker url contains credentials", {
      hint: "pass username and password apart from the url: urls end up in logs",
    });
  }
}

function parseUrl(url: string): URL {
  try {
    return new URL(url);
  } catch {
    throw new ConfigError("broker url cannot be read", {
      expected: "for example mqtt://127.0.0.1:1883",
      hint: "check the scheme, the host and the port",
    });
  }
}
