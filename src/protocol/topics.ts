/** The topic tree of a fleet: every topic literal of the project is built and parsed here. */
import { ProtocolError } from "../base/errors.ts";
import { PROTOCOL_VERSION } from "./version.ts";

/** Fleet and device ids: no separator, no wildcard, no `$`, so an id can never change a topic's meaning. */
export const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

/** What a device sends or receives on its own branch; the arrow says who publishes. */
export const deviceChannels = [
  "cmd", // coordinator -> device, QoS 1: commands
  "evt", // device -> coordinator, QoS 1: events
  "st", // device -> coordinator, retained, also the will: presence
  "get", // device -> coordinator, QoS 0: requests for download ranges
  "blk", // coordinator -> device, QoS 0: download ranges
  "ask", // coordinator -> device, QoS 0: requests for upload ranges
  "put", // device -> coordinator, QoS 0: upload ranges
] as const;
export type DeviceChannel = (typeof deviceChannels)[number];

/** What the coordinator publishes to the whole fleet, retained. */
export const fleetChannels = ["epoch"] as const;
export type FleetChannel = (typeof fleetChannels)[number];

/** The exact topics of one device. */
export type DeviceTopics = { readonly [channel in DeviceChannel]: string } & {
  readonly device: string;
};

/** The topics of one fleet as its coordinator sees them. */
export interface FleetTopics {
  readonly fleet: string;
  /** Retained incarnation of the coordinator, coordinator -> all; also its will. */
  readonly epoch: string;
  /** One device's topics. Throws ProtocolError for an id that ID_PATTERN refuses. */
  device(device: string): DeviceTopics;
  /** The filter that matches one channel of every device of the fleet. */
  everyDevice(channel: DeviceChannel): string;
}

/** A topic taken apart: a fleet channel or a device channel. */
export type ParsedTopic =
  | { readonly fleet: string; readonly channel: FleetChannel; readonly device?: undefined }
  | { readonly fleet: string; readonly channel: DeviceChannel; readonly device: string };

export function isId(text: string): boolean {
  return ID_PATTERN.test(text);
}

/** Builds the topics of a fleet. Throws ProtocolError for an id that ID_PATTERN refuses. */
export function fleetTopics(fleet: string): FleetTopics {
  requireId("fleet", fleet);
  const root = `fl/${PROTOCOL_VERSION}/${fleet}`;
  return {
    fleet,
    epoch: `${root}/c/epoch`,
    device(device) {
      requireId("device", device);
      const topics = deviceChannels.map((channel) => [channel, `${root}/d/${device}/${channel}`]);
      return { device, ...Object.fromEntries(topics) } as DeviceTopics;
    },
    everyDevice: (channel) => `${root}/d/+/${channel}`,
  };
}

/** Takes a topic apart, or returns undefined for anything that fleetTopics does not build. */
export function parseTopic(topic: string): ParsedTopic | undefined {
  const [prefix, version, fleet = "", branch, name = "", channel, ...rest] = topic.split("/", 7);
  if (prefix !== "fl" || version !== String(PROTOCOL_VERSION) || !isId(fleet)) return undefined;
  if (branch === "c" && channel === undefined) {
    const known = fleetChannels.find((candidate) => candidate === name);
    return known === undefined ? undefined : { fleet, channel: known };
  }
  if (branch !== "d" || rest.length > 0 || !isId(name)) return undefined;
  const known = deviceChannels.find((candidate) => candidate === channel);
  return known === undefined ? undefined : { fleet, channel: known, device: name };
}

/** The MQTT client id of a device's second connection, the one that carries blobs. */
export function dataClientId(device: string): string {
  return `${device}.data`;
}

function requireId(what: string, id: string): void {
  if (isId(id)) return;
  throw new ProtocolError(`${what} id cannot be part of a topic`, {
    expected: "1 to 64 characters of A-Z a-z 0-9 _ -",
    got: JSON.stringify(id.slice(0, 80)),
    hint: `choose another ${what} id`,
  });
}
