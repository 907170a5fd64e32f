/** Everything that MQTT 3.1.1 describes is allowed, for checks against the standard rather than against a fleet. */
import type { Policy, Session } from "../../broker/src/policy.ts";

/** The one topic filter that nobody may subscribe to, so that a failure code can be seen. */
export const REFUSED_FILTER = "nosubscribe";

const SESSION: Session = {
  publish: () => true,
  subscribe: (filter) => filter !== REFUSED_FILTER,
  isCurrent: () => true,
};

/** Settings beside the policy: keepalive 0, which means never, is part of the standard. */
export const STANDARD_SETTINGS = { maxKeepaliveSeconds: 0 };

/** Refuses only what the standard says must be: a durable session without a client id (MQTT-3.1.3-8). */
export const standardPolicy: Policy = {
  connect: ({ clientId, clean }) => (clientId === "" && !clean ? "identifier-rejected" : SESSION),
};
