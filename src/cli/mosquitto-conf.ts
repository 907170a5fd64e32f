/** The mosquitto configuration that fedspine recommends and is tested with, as the text of its files. */
import { coordinatorRights, deviceRights } from "../protocol/rights.ts";
import { COORDINATOR_ID } from "../security/register.ts";

export interface MosquittoOptions {
  readonly port: number;
  /** Address to listen on. */
  readonly host: string;
  /** PEM files: the listener then wants a client certificate and takes its name as the identity. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
  /** Where the access rules will lie; without it anyone may use any topic. */
  readonly aclFile?: string | undefined;
  /** Folder for sessions and retained messages; without it they end with the process. */
  readonly persistenceFolder?: string | undefined;
}

/** A range of 64 KiB with header, topic and room to grow. */
const MAX_PACKET_BYTES = 300_000;
const MAX_QUEUED_BYTES = 8 * 1024 * 1024;

/** mosquitto.conf. */
export function mosquittoConf(options: MosquittoOptions): string {
  const { port, host, tls, aclFile, persistenceFolder } = options;
  const lines = [
    "# mosquitto for fedspine: bounded packets and queues, and each device to its own topics.",
    "per_listener_settings false",
    "",
    "# Nobody can make the broker hold more than this.",
    `max_packet_size ${MAX_PACKET_BYTES}`,
    "max_queued_messages 1000",
    `max_queued_bytes ${MAX_QUEUED_BYTES}`,
    "max_inflight_messages 32",
    "set_tcp_nodelay true",
    "",
    "# Sessions are a convenience: fedspine loses nothing when they are gone.",
    ...(persistenceFolder === undefined
      ? ["persistence false"]
      : [
          "persistence true",
          `persistence_location ${folderText(persistenceFolder)}`,
          "autosave_on_changes true",
          "autosave_interval 60",
        ]),
    "persistent_client_expiration 7d",
    "",
    `listener ${port} ${host}`,
    ...(tls === undefined
      ? [
          "# Without certificates anyone who reaches the port is let in: for loopback only.",
          "allow_anonymous true",
        ]
      : [
          `cafile ${tls.ca}`,
          `certfile ${tls.cert}`,
          `keyfile ${tls.key}`,
          "tls_version tlsv1.2",
          "# The name in the client's certificate is its identity.",
          "require_certificate true",
          "use_identity_as_username true",
          "allow_anonymous false",
        ]),
    ...(aclFile === undefined ? [] : [`acl_file ${aclFile}`]),
  ];
  return `${lines.join("\n")}\n`;
}

/** The access rules: %u is the identity of whoever connects. */
export function mosquittoAcl(fleet: string): string {
  const [device, coordinator] = [deviceRights(fleet), coordinatorRights(fleet)];
  const lines = [
    "# Every device: its own branch, one direction per topic, and what the coordinator tells all.",
    ...device.publish.map((topic) => `pattern write ${topic}`),
    ...device.subscribe.map((topic) => `pattern read ${topic}`),
    "",
    "# The coordinator: the other direction of every branch.",
    `user ${COORDINATOR_ID}`,
    ...coordinator.publish.map((topic) => `topic write ${topic}`),
    ...coordinator.subscribe.map((topic) => `topic read ${topic}`),
  ];
  return `${lines.join("\n")}\n`;
}

/** mosquitto appends the file's name to the folder as it is. */
function folderText(folder: string): string {
  return folder.endsWith("/") ? folder : `${folder}/`;
}
