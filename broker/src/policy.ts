/** What a client may do. One object decides who comes in, and what it hands out decides for each of them. */

/** The certificate that a client has proved to own, signed by an authority that the broker trusts. */
export interface PeerCertificate {
  readonly commonName: string;
  /** SHA-256 of the certificate as upper-case hex pairs with colons, as OpenSSL prints it. */
  readonly fingerprint: string;
}

export interface ConnectRequest {
  readonly clientId: string;
  readonly clean: boolean;
  readonly username: string | undefined;
  readonly password: Uint8Array | undefined;
  readonly will: MessageRequest | undefined;
  readonly certificate: PeerCertificate | undefined;
}

export interface MessageRequest {
  readonly topic: string;
  readonly payloadBytes: number;
  readonly qos: number;
  readonly retain: boolean;
}

/** CONNACK codes of MQTT 3.1.1, table 3.1. */
export type Refusal =
  "identifier-rejected" | "bad-credentials" | "not-authorized" | "too-many-sessions";

/** What one connected client may do. */
export interface Session {
  publish(message: MessageRequest): boolean;
  subscribe(filter: string, qos: number): boolean;
  /** False once the rights that it was given no longer hold: then the connection is ended. */
  isCurrent(): boolean;
}

export interface Policy {
  connect(request: ConnectRequest): Refusal | Session;
}

/**
 * Everybody may do everything that the protocol of fedspine uses: no empty client id (MQTT-3.1.3-8), no QoS 2 (half-open
 * handshakes hold memory, and ids make messages idempotent anyway), no `$` topics, bounded retained payloads.
 */
export function openPolicy(maxRetainedBytes: number): Policy {
  const session: Session = {
    publish: ({ topic, payloadBytes, qos, retain }) =>
      qos < 2 && !topic.startsWith("$") && (!retain || payloadBytes <= maxRetainedBytes),
    subscribe: (filter, qos) => qos < 2 && !filter.startsWith("$"),
    isCurrent: () => true,
  };
  return {
    connect({ clientId, will }) {
      if (clientId === "") return "identifier-rejected";
      return will === undefined || session.publish(will) ? session : "not-authorized";
    },
  };
}
