/** What a process knows from belonging to a fleet: settings that it need not be told, its certificate, and its seal. */
import { ConfigError } from "../base/errors.ts";
import type { Rng } from "../base/rng.ts";
import { DEFAULT_STATE_FOLDER } from "../device/config.ts";
import { CredentialStore } from "../security/device-credentials.ts";
import { type MessageSeal, coordinatorSeal, deviceSeal } from "../security/sealed-transport.ts";
import { type TlsTexts, textsOfFiles } from "./broker-access.ts";

export interface Membership {
  /** The settings with what the fleet's keys say filled in. */
  readonly settings: unknown;
  readonly tls: TlsTexts;
  /** Absent without keys. */
  readonly seal?: (rng: Rng) => MessageSeal;
}

/** Of a coordinator whose settings name a fleet folder. Throws ConfigError where the two disagree. */
export async function coordinatorMembership(settings: unknown): Promise<Membership> {
  const path = fieldOf(settings, "fleetFolder");
  if (path === undefined) return { settings, tls: {} };
  // What issues certificates takes megabytes that a device, which knows the other half of this module, shall not load.
  const { FleetFolder } = await import("../security/fleet-folder.ts");
  const folder = FleetFolder.open(path);
  const { fleet, broker } = folder.info;
  expectSame(settings, "fleet", fleet, path);
  const { privateKey: signKey, publicKey } = folder.signingKeys();
  const keyOf = (device: string) => folder.register.signKeyOf(device);
  return {
    settings: { fleet, broker, ...(settings as object) },
    tls: textsOfFiles(folder.coordinatorFiles),
    seal: (rng) => coordinatorSeal({ signKey, publicKey, keyOf, rng }),
  };
}

/** Of a device that has enrolled; its credentials are in its state folder. Throws ConfigError where settings disagree. */
export function deviceMembership(settings: unknown): Membership {
  const path = fieldOf(settings, "stateFolder") ?? DEFAULT_STATE_FOLDER;
  const credentials = new CredentialStore(path).load();
  if (credentials === null) return { settings, tls: {} };
  const { device: id, fleet, broker, tls, signKey, coordinatorKey } = credentials;
  expectSame(settings, "id", id, path);
  expectSame(settings, "fleet", fleet, path);
  return {
    settings: { id, fleet, broker, ...(settings as object) },
    tls,
    seal: (rng) => deviceSeal({ signKey, coordinatorKey, rng }),
  };
}

function expectSame(settings: unknown, key: string, known: string, path: string): void {
  const configured = fieldOf(settings, key);
  if (configured === undefined || configured === known) return;
  throw new ConfigError(`${key} is not the one that the keys in ${path} are for`, {
    expected: known,
    got: configured,
    hint: `leave ${key} out of the settings`,
  });
}

function fieldOf(settings: unknown, key: string): string | undefined {
  if (typeof settings !== "object" || settings === null) return undefined;
  const value = (settings as Record<string, unknown>)[key];
  return typeof value === "string" ? value : undefined;
}
