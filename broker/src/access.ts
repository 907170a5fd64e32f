/** Rights by identity: who has proved to be somebody may do what the role of that identity lists, and nothing else. */
import type { Identity, Identities } from "./identities.ts";
import { tokenMatches } from "./identities.ts";
import type { ConnectRequest, MessageRequest, Policy, Refusal, Session } from "./policy.ts";

/**
 * What a role may do. `%u` stands for the name of the identity. Topics and filters are compared level by level: `+` in
 * a right matches one level, or a `+` in the filter that is asked for; nothing else does.
 */
export interface Role {
  /** A trailing `*` stands for any ending. */
  readonly clientIds: readonly string[];
  readonly publish: readonly string[];
  /** Topics of `publish` that may also be retained. */
  readonly retain: readonly string[];
  readonly subscribe: readonly string[];
}

export interface AccessOptions {
  readonly identities: Identities;
  readonly roles: Readonly<Record<string, Role>>;
  readonly maxRetainedBytes: number;
}

export function accessPolicy({ identities, roles, maxRetainedBytes }: AccessOptions): Policy {
  return {
    connect(request): Refusal | Session {
      if (request.clientId === "") return "identifier-rejected";
      // Before the look at the credentials, so that no change can fall between the two.
      const version = identities.version(claimedName(request));
      const identity = authenticated(identities, request);
      if (identity === undefined) return "bad-credentials";
      const role = Object.hasOwn(roles, identity.role) ? roles[identity.role] : undefined;
      if (role === undefined) return "not-authorized";
      const own = rightsOf(role, identity.id);
      if (!own.clientIds.some((pattern) => clientIdMatches(pattern, request.clientId))) {
        return "identifier-rejected";
      }
      const session = new RoleSession(
        own,
        maxRetainedBytes,
        renewal(identities, request, identity, version),
      );
      const { will } = request;
      return will === undefined || session.publish(will) ? session : "not-authorized";
    },
  };
}

function claimedName({ certificate, username }: ConnectRequest): string {
  return certificate?.commonName ?? username ?? "";
}

/** Whoever shows a certificate is who it says, and a name beside it must agree; everybody else needs a token. */
function authenticated(
  identities: Identities,
  { certificate, username, password }: ConnectRequest,
): Identity | undefined {
  if (certificate !== undefined) {
    const { commonName, fingerprint } = certificate;
    if (username !== undefined && username !== commonName) return undefined;
    const identity = identities.active(commonName);
    return identity?.certificates.includes(fingerprint) === true ? identity : undefined;
  }
  if (username === undefined || password === undefined) return undefined;
  const identity = identities.active(username);
  const isRight = tokenMatches(password, identity?.tokenHash ?? null);
  return isRight ? identity : undefined;
}

/** Looks again at the credentials only when the identity's file has changed. */
function renewal(
  identities: Identities,
  request: ConnectRequest,
  { id, role }: Identity,
  known: string,
): () => boolean {
  let version = known;
  return () => {
    const now = identities.version(id);
    if (now === version) return true;
    version = now;
    return authenticated(identities, request)?.role === role;
  };
}

class RoleSession implements Session {
  readonly #rights: Role;
  readonly #maxRetainedBytes: number;
  readonly isCurrent: () => boolean;

  constructor(rights: Role, maxRetainedBytes: number, isCurrent: () => boolean) {
    this.#rights = rights;
    this.#maxRetainedBytes = maxRetainedBytes;
    this.isCurrent = isCurrent;
  }

  publish({ topic, payloadBytes, qos, retain }: MessageRequest): boolean {
    const { publish, retain: retained } = this.#rights;
    const isRetainable = payloadBytes <= this.#maxRetainedBytes && grants(retained, topic);
    return qos < 2 && grants(publish, topic) && (!retain || isRetainable);
  }

  subscribe(filter: string, qos: number): boolean {
    return qos < 2 && grants(this.#rights.subscribe, filter);
  }
}

function rightsOf(role: Role, name: string): Role {
  const named = (patterns: readonly string[]): string[] =>
    patterns.map((pattern) => pattern.replaceAll("%u", name));
  return {
    clientIds: named(role.clientIds),
    publish: named(role.publish),
    retain: named(role.retain),
    subscribe: named(role.subscribe),
  };
}

function clientIdMatches(pattern: string, clientId: string): boolean {
  if (!pattern.endsWith("*")) return clientId === pattern;
  return clientId.startsWith(pattern.slice(0, -1));
}

/** A filter with `#` is granted only where a right has the very same text. */
function grants(rights: readonly string[], wanted: string): boolean {
  const levels = wanted.split("/");
  return rights.some((right) => {
    if (right === wanted) return true;
    const allowed = right.split("/");
    return (
      allowed.length === levels.length &&
      allowed.every((level, i) => {
        const asked = levels[i] ?? "";
        if (level !== "+") return asked === level;
        return asked === "+" || (asked !== "" && !/[+#$]/.test(asked));
      })
    );
  });
}
