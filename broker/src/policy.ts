/** What a client may do. One object decides, so that identities and rights can take its place. */

export interface ConnectRequest {
  readonly clientId: string;
  readonly clean: boolean;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly will: MessageRequest | undefined;
}

export interface MessageRequest {
  readonly topic: string;
  readonly payloadBytes: number;
  readonly qos: number;
  readonly retain: boolean;
}

/** CONNACK codes of MQTT 3.1.1, table 3.1. */
export type ConnectVerdict =
  "accepted" | "identifier-rejected" | "bad-credentials" | "not-authorized";

export interface Policy {
  connect(request: ConnectRequest): ConnectVerdict;
  publish(clientId: string, message: MessageRequest): boolean;
  subscribe(clientId: string, filter: string, qos: number): boolean;
}

/**
 * Everybody may do everything that the protocol of fedspine uses: no empty client id (MQTT-3.1.3-8), no QoS 2 (half-open
 * handshakes hold memory, and ids make messages idempotent anyway), no `$` topics, bounded retained payloads.
 */
export function openPolicy(maxRetainedBytes: number): Policy {
  const allows = ({ topic, payloadBytes, qos, retain }: MessageRequest): boolean =>
    qos < 2 && !topic.startsWith("$") && (!retain || payloadBytes <= maxRetainedBytes);
  return {
    connect({ clientId, will }) {
      if (clientId === "") return "identifier-rejected";
      return will === undefined || allows(will) ? "accepted" : "not-authorized";
    },
    publish: (_, message) => allows(message),
    subscribe: (_, filter, qos) => qos < 2 && !filter.startsWith("$"),
  };
}
