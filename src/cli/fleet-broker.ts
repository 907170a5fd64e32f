/** The bundled broker of a fleet with keys: its settings, and the file that its process reads them from. */
import { join } from "node:path";
import { writeJson } from "../io/json.ts";
import { type Rights, coordinatorRights, deviceRights } from "../protocol/rights.ts";
import type { FleetFolder, TlsFiles } from "../security/fleet-folder.ts";

export interface FleetBrokerSettings {
  readonly tls: TlsFiles;
  readonly access: {
    readonly identities: string;
    readonly roles: Readonly<Record<"device" | "coordinator", Rights>>;
  };
}

function fleetBrokerSettings(fleet: FleetFolder): FleetBrokerSettings {
  const { fleet: name } = fleet.info;
  const roles = { device: deviceRights(name), coordinator: coordinatorRights(name) };
  return { tls: fleet.serverFiles, access: { identities: fleet.identitiesFolder, roles } };
}

/** Writes the settings, with others beside them, into the fleet's folder and returns the path. */
export function writeBrokerConfig(fleet: FleetFolder, folder: string, others: object): string {
  const path = join(folder, "broker.json");
  writeJson(path, { ...others, ...fleetBrokerSettings(fleet) });
  return path;
}
