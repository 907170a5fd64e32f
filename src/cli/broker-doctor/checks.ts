/** The checks of `fedspine broker doctor`: each connects, looks at one thing, and says what it found. */
import { TransportError } from "../../base/errors.ts";
import { MAX_RANGE_BYTES } from "../../protocol/frame.ts";
import { fleetTopics, type DeviceTopics } from "../../protocol/topics.ts";
import { BareClient, type BareDial } from "../../transport/bare-client.ts";
import { byteText } from "../output.ts";
import type { Finding, Level } from "./finding.ts";

export interface DoctorContext {
  /** How to reach the broker, less what each connection chooses for itself. */
  readonly access: Omit<BareDial, "clientId" | "version" | "clean">;
  readonly fleet: string;
  /** Also the client id: brokers that bind topics to identities want them equal. */
  readonly device: string;
  /** How long something that was sent may take to arrive. */
  readonly arrivalMs: number;
  readonly isLoopback: boolean;
  readonly isEncrypted: boolean;
}

export type Check = (context: DoctorContext) => Promise<Finding[]>;

const KIB = 1024;
/** A range with its header and topic; manifests and control messages are smaller. */
const NEEDED_BYTES = MAX_RANGE_BYTES + KIB;
const SIZES = [KIB, 16 * KIB, NEEDED_BYTES, 128 * KIB, 256 * KIB, 1024 * KIB];
/** As many ranges as a window ever holds. */
const BURST = 16;

const found = (check: string, level: Level, text: string, advice?: string): Finding => ({
  check,
  level,
  text,
  ...(advice === undefined ? {} : { advice }),
});

function dial(
  { access, device }: DoctorContext,
  changes: Partial<BareDial> = {},
): Promise<BareClient> {
  return BareClient.connect({
    ...access,
    clientId: device,
    version: "3.1.1",
    clean: true,
    ...changes,
  });
}

/** The topics that the checks use, of a device that is no real one unless the user names one. */
function topicsOf({ fleet, device }: DoctorContext): DeviceTopics {
  return fleetTopics(fleet).device(device);
}

/** Which versions it speaks, and the limits that MQTT 5 lets it state. */
const versions: Check = async (context) => {
  const startMs = context.access.clock.nowMs();
  const client = await dial(context);
  const greetedMs = Math.round(context.access.clock.nowMs() - startMs);
  await client.end();
  const findings = [found("versions", "ok", `MQTT 3.1.1, which fedspine uses (${greetedMs} ms)`)];
  try {
    const modern = await dial(context, { version: "5" });
    const { greeting } = modern;
    await modern.end();
    findings.push(found("versions", "ok", "MQTT 5 as well"), ...statedLimits(greeting));
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    findings.push(found("versions", "note", "no MQTT 5: its limits are found by trying"));
  }
  return findings;
};

function statedLimits(greeting: BareClient["greeting"]): Finding[] {
  const { maximumPacketSize, receiveMaximum, maximumQoS, retainAvailable } = greeting;
  const findings: Finding[] = [];
  if (maximumPacketSize !== undefined) {
    const fits = maximumPacketSize >= NEEDED_BYTES;
    const text = `packets up to ${byteText(maximumPacketSize)}`;
    const advice = `allow packets of ${byteText(NEEDED_BYTES)}`;
    findings.push(fits ? found("limits", "ok", text) : found("limits", "problem", text, advice));
  }
  if (receiveMaximum !== undefined) {
    findings.push(found("limits", "ok", `${receiveMaximum} unacknowledged messages at a time`));
  }
  if (maximumQoS === 0) {
    const advice = "allow QoS 1: control messages need an acknowledgement";
    findings.push(found("limits", "problem", "QoS 0 only", advice));
  }
  if (retainAvailable === false) {
    findings.push(found("limits", "problem", "no retained messages", "allow them, they are small"));
  }
  const shared = greeting.sharedSubscriptionAvailable !== false;
  findings.push(
    found("limits", "note", shared ? "shared subscriptions" : "no shared subscriptions"),
  );
  return findings;
}

/** The largest message that comes back to its sender, and whether a full window does. */
const sizes: Check = async (context) => {
  const topic = topicsOf(context).put;
  let client = await dial(context);
  if (!(await client.subscribe(topic))) {
    await client.end();
    return [notPermitted("sizes", topic)];
  }
  let largest = 0;
  for (const bytes of SIZES) {
    const payload = new Uint8Array(bytes).fill(bytes % 251);
    await client.publish(topic, payload, { qos: 0 });
    const back = await client.next((_, { length }) => length === bytes, context.arrivalMs);
    if (back === undefined) break;
    largest = bytes;
  }
  if (!client.isOpen) {
    client = await dial(context);
    await client.subscribe(topic);
  }
  const findings = [
    largest === 0
      ? notPermitted("sizes", topic)
      : largest >= NEEDED_BYTES
        ? found("sizes", "ok", `messages of ${byteText(largest)} arrive`)
        : found(
            "sizes",
            "problem",
            `messages of more than ${byteText(largest)} do not arrive`,
            `allow packets of ${byteText(NEEDED_BYTES)} (mosquitto: max_packet_size 300000)`,
          ),
  ];
  if (largest >= NEEDED_BYTES) findings.push(await burst(client, topic, context.arrivalMs / 3));
  await client.end();
  return findings;
};

async function burst(client: BareClient, topic: string, withinMs: number): Promise<Finding> {
  client.received.length = 0;
  const payload = (i: number): Uint8Array => new Uint8Array(MAX_RANGE_BYTES).fill(i);
  await Promise.all(
    Array.from({ length: BURST }, (_, i) => client.publish(topic, payload(i), { qos: 0 })),
  );
  let arrived = 0;
  while ((await client.next(() => true, withinMs)) !== undefined && ++arrived < BURST);
  const text = `${arrived} of ${BURST} ranges of ${byteText(MAX_RANGE_BYTES)} sent at once arrive`;
  return arrived === BURST
    ? found("sizes", "ok", text)
    : found("sizes", "warning", text, "transfers repeat what is lost; a larger queue saves that");
}

const retained: Check = async (context) => {
  const topic = topicsOf(context).st;
  const client = await dial(context);
  const marker = new TextEncoder().encode(`doctor ${context.access.clock.nowMs()}`);
  const taken = await client.publish(topic, marker, { qos: 1, retain: true });
  const reader = await dial(context, { clientId: `${context.device}.data` });
  const granted = await reader.subscribe(topic);
  const back = granted && (await reader.next((_, { length }) => length > 0, context.arrivalMs));
  await client.publish(topic, new Uint8Array(0), { qos: 1, retain: true });
  await Promise.all([client.end(), reader.end()]);
  if (!taken || !granted) return [notPermitted("retained", topic)];
  return [
    back
      ? found("retained", "ok", "retained messages are kept for who comes later")
      : found(
          "retained",
          "warning",
          "retained messages are not kept",
          "devices then learn of the coordinator only by its next message; allow retained messages",
        ),
  ];
};

/** Whether a session outlives its connection and keeps what was sent meanwhile. */
const sessions: Check = async (context) => {
  const topic = topicsOf(context).cmd;
  const sleeper = await dial(context, { clean: false });
  const granted = await sleeper.subscribe(topic);
  await sleeper.end();
  const sender = await dial(context, { clientId: `${context.device}.data` });
  await sender.publish(topic, new TextEncoder().encode("while you slept"), { qos: 1 });
  await sender.end();
  const woken = await dial(context, { clean: false });
  const { sessionPresent } = woken.greeting;
  const kept = await woken.next(() => true, context.arrivalMs / 3);
  await woken.end();
  // A clean connection of the same id ends the session that this one leaves behind.
  await (await dial(context)).end();
  if (!granted) return [notPermitted("sessions", topic)];
  if (sessionPresent && kept !== undefined) {
    return [found("sessions", "ok", "sessions are resumed with what was sent meanwhile")];
  }
  const text = sessionPresent
    ? "sessions are resumed, but without what was sent meanwhile"
    : "sessions end with their connection";
  const advice = "nothing is lost, devices are told anew; persistent sessions save that exchange";
  return [found("sessions", "note", text, advice)];
};

/** What this identity may read and write beyond its own topics. */
const permissions: Check = async (context) => {
  const own = topicsOf(context);
  const other = fleetTopics(context.fleet).device("fedspine-doctor-other");
  const client = await dial(context);
  // Some brokers grant any filter and hold back what is not allowed: only what arrives tells.
  const granted = await client.subscribe("#");
  const hears = async (topic: string): Promise<boolean> => {
    if (!granted || !client.isOpen) return false;
    await client.publish(topic, new TextEncoder().encode("doctor"), { qos: 1 });
    return (await client.next((at) => at === topic, context.arrivalMs / 6)) !== undefined;
  };
  const hearsAll = await hears(own.evt);
  const reachesOther = await hears(other.cmd);
  if (client.isOpen) await client.end();
  const rules = "fedspine broker mosquitto-conf writes such rules";
  const findings = [
    hearsAll
      ? found(
          "permissions",
          "warning",
          "this identity may read what devices tell the coordinator",
          `give each device its own topics only: ${rules}`,
        )
      : found("permissions", "ok", "what devices tell the coordinator does not reach others"),
  ];
  if (reachesOther) {
    const text = "this identity may write and read another device's commands";
    findings.push(found("permissions", "warning", text, `bind topics to identities: ${rules}`));
  }
  return findings;
};

/** Whether it lets in someone without a name, and whether the way there is private. */
const entrance: Check = async (context) => {
  const { access, isLoopback, isEncrypted } = context;
  const findings: Finding[] = [];
  if (!isEncrypted) {
    findings.push(
      isLoopback
        ? found("entrance", "note", "not encrypted, which is fine on loopback")
        : found("entrance", "warning", "not encrypted", "use mqtts:// or wss://"),
    );
  }
  const anonymous = { ...access, username: undefined, password: undefined };
  const tls = access.tls?.ca === undefined ? undefined : { ca: access.tls.ca };
  try {
    const client = await dial({ ...context, access: { ...anonymous, tls } });
    await client.end();
    findings.push(
      found(
        "entrance",
        isLoopback ? "note" : "warning",
        "lets in clients without credentials",
        "ask for certificates or passwords (mosquitto: allow_anonymous false)",
      ),
    );
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    findings.push(found("entrance", "ok", "refuses clients without credentials"));
  }
  return findings;
};

/** In the order in which they are run: the first one fails when nothing answers. */
export const checks: readonly Check[] = [
  versions,
  sizes,
  retained,
  sessions,
  permissions,
  entrance,
];

function notPermitted(check: string, topic: string): Finding {
  return found(
    check,
    "note",
    `cannot be tried: this identity may not use ${topic}`,
    "run the doctor with the coordinator's credentials and --fleet",
  );
}
