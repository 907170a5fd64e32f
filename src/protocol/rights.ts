/** Who may publish and subscribe what in a fleet: the rights that a broker gives to devices and to their coordinator. */
import { type DeviceChannel, fleetTopics } from "./topics.ts";

/** Channels that a device publishes on; the others it subscribes. */
const deviceSends = ["evt", "st", "get", "put"] as const satisfies readonly DeviceChannel[];
const deviceHears = ["cmd", "blk", "ask"] as const satisfies readonly DeviceChannel[];

/** Topics and filters of one kind of party. In a device's, `%u` stands for its authenticated id; `*` ends an open client id. */
export interface Rights {
  readonly clientIds: readonly string[];
  readonly publish: readonly string[];
  /** Topics of `publish` that may be retained. */
  readonly retain: readonly string[];
  readonly subscribe: readonly string[];
}

/** The exact topics of the device itself and the announcements to all. Throws ProtocolError for a fleet id that is none. */
export function deviceRights(fleet: string): Rights {
  const topics = fleetTopics(fleet);
  const own = (channel: DeviceChannel): string =>
    topics.everyDevice(channel).replace("/+/", "/%u/");
  return {
    clientIds: ["%u", "%u.data"],
    publish: deviceSends.map(own),
    retain: [own("st")],
    subscribe: [...deviceHears.map(own), topics.epoch],
  };
}

/** The other end of every device's topics. Throws ProtocolError for a fleet id that is none. */
export function coordinatorRights(fleet: string): Rights {
  const topics = fleetTopics(fleet);
  return {
    clientIds: [`${fleet}.coordinator.*`],
    publish: [...deviceHears.map((channel) => topics.everyDevice(channel)), topics.epoch],
    retain: [topics.epoch],
    subscribe: [...deviceSends.map((channel) => topics.everyDevice(channel)), topics.epoch],
  };
}
