/** Whether this machine's clock agrees with what the broker's certificate and the coordinator's messages show of time. */
import { connect, type DetailedPeerCertificate } from "node:tls";
import { decodeControl, ulidTimeMs } from "../../protocol/envelope.ts";
import { fleetTopics } from "../../protocol/topics.ts";
import { unseal } from "../../security/seal.ts";
import { BareClient } from "../../transport/bare-client.ts";
import type { Check } from "./checks.ts";
import type { Finding } from "./finding.ts";

const DAY_MS = 86_400_000;
const SOON_DAYS = 14;
/** More than links and retries explain. */
const AHEAD_MS = 60_000;

/** Certificates are judged by the clock; a coordinator's last words cannot be from the future. */
export const clockCheck: Check = async (context) => {
  const nowMs = context.access.clock.nowMs();
  const findings: Finding[] = [];
  if (context.isEncrypted) {
    const certificate = await certificateOf(new URL(context.access.url));
    if (certificate !== undefined) findings.push(judge(certificate, nowMs));
  }
  const client = await BareClient.connect({
    ...context.access,
    clientId: context.device,
    version: "3.1.1",
    clean: true,
  });
  await client.subscribe(fleetTopics(context.fleet).epoch);
  const said = await client.next(() => true, context.arrivalMs / 6);
  await client.end();
  const message = said && decodeControl(unseal(said)?.content ?? said);
  const saidMs = message?.ok === true ? ulidTimeMs(message.value.id) : undefined;
  if (saidMs === undefined) {
    const text = "no coordinator has announced itself here: nothing to compare the clock with";
    findings.push({ check: "clock", level: "note", text });
  } else {
    const seconds = Math.round((saidMs - nowMs) / 1000);
    findings.push(
      saidMs > nowMs + AHEAD_MS
        ? {
            check: "clock",
            level: "warning",
            text: `the coordinator's last announcement is ${seconds} s ahead of this machine's clock`,
            advice: "set the clock (NTP): certificates and enrolment codes are judged by it",
          }
        : { check: "clock", level: "ok", text: "not behind the coordinator's clock" },
    );
  }
  return findings;
};

function judge({ valid_from, valid_to }: DetailedPeerCertificate, nowMs: number): Finding {
  const [fromMs, toMs] = [Date.parse(valid_from), Date.parse(valid_to)];
  if (nowMs < fromMs || nowMs > toMs) {
    return {
      check: "clock",
      level: "problem",
      text: `by this machine's clock the certificate is not valid (${valid_from} to ${valid_to})`,
      advice: "set the clock (NTP), or renew the certificate",
    };
  }
  const days = Math.floor((toMs - nowMs) / DAY_MS);
  return days < SOON_DAYS
    ? {
        check: "clock",
        level: "warning",
        text: `the certificate ends in ${days} days`,
        advice: "renew it before devices are shut out",
      }
    : { check: "clock", level: "ok", text: `the certificate is valid for ${days} more days` };
}

/** Looks at the certificate without trusting it; undefined when none is shown. */
function certificateOf({
  hostname,
  port,
  protocol,
}: URL): Promise<DetailedPeerCertificate | undefined> {
  const fallback = protocol === "wss:" ? 443 : 8883;
  return new Promise((resolve) => {
    const socket = connect(
      { host: hostname, port: Number(port || fallback), rejectUnauthorized: false, timeout: 5000 },
      () => {
        const certificate = socket.getPeerCertificate(true);
        socket.destroy();
        resolve("valid_to" in certificate ? certificate : undefined);
      },
    );
    const giveUp = (): void => {
      socket.destroy();
      resolve(undefined);
    };
    socket.once("error", giveUp);
    socket.once("timeout", giveUp);
  });
}
