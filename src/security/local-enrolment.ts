/** Enrols a device whose state folder is on the coordinator's own machine, where nobody has to be asked. */
import { CredentialStore } from "./device-credentials.ts";
import type { FleetFolder } from "./fleet-folder.ts";
import { publicText } from "./keys.ts";

/** The device's keys and certificate are in its state folder afterwards.. */
export function enrolHere(
  fleet: FleetFolder,
  device: { readonly id: string; readonly type: string; readonly stateFolder: string },
  nowMs: number,
): void {
  const { id, type, stateFolder } = device;
  const store = new CredentialStore(stateFolder);
  const { tls, signing } = store.nextKeys();
  const keys = { tlsKey: publicText(tls.publicKey), signKey: publicText(signing.publicKey) };
  fleet.register.request(id, { ...keys, type, address: "this machine", atMs: nowMs });
  const { certificate } = fleet.register.accept(id, fleet.issuer(), nowMs);
  store.save({
    state: "accepted",
    device: id,
    fleet: fleet.info.fleet,
    broker: fleet.info.broker,
    certificate: certificate ?? "",
    authority: fleet.authorityPem,
    coordinatorKey: fleet.coordinatorKey,
  });
}
