/** Runs the enrolment server of a fleet beside another command and tells the operator what happens at it. */
import { systemClock } from "../base/clock.ts";
import { type DeskEvent, EnrolmentDesk } from "../security/enrolment-desk.ts";
import { type EnrolmentServer, serveEnrolment } from "../security/enrolment-server.ts";
import type { FleetFolder } from "../security/fleet-folder.ts";
import { note } from "./output.ts";

export const DEFAULT_ENROLMENT_PORT = 8884;

/** Rejects with TransportError when the port cannot be had. */
export async function openEnrolment(
  fleet: FleetFolder,
  place: { readonly host: string; readonly port: number },
  onEvent: (event: DeskEvent) => void = () => undefined,
): Promise<EnrolmentServer> {
  const desk = new EnrolmentDesk({
    fleet,
    clock: systemClock,
    onEvent: (event) => {
      note(deskLine(event));
      onEvent(event);
    },
  });
  const server = await serveEnrolment({ desk, files: fleet.serverFiles, ...place });
  note(`enrolment: listening on https://${place.host}:${server.port}`);
  return server;
}

function deskLine(event: DeskEvent): string {
  switch (event.kind) {
    case "asked": {
      const next = event.preauthorised
        ? "accepted beforehand"
        : "waits for fedspine devices accept";
      return `enrolment: ${event.device} (${event.type}) at ${event.address} ${next}`;
    }
    case "delivered":
      return `enrolment: ${event.device} at ${event.address} has its certificate`;
    case "refused":
      return `enrolment: ${event.address} refused: ${event.reason}`;
  }
}
