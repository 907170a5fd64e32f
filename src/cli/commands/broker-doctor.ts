/** `fedspine broker doctor URL`: connects to a broker, tries what fedspine needs of it, and says what to change. */
import { Command } from "commander";
import { systemClock } from "../../base/clock.ts";
import { ExitCode } from "../../base/errors.ts";
import { checkBrokerUrl } from "../../transport/mqtt-options.ts";
import { brokerCredentials } from "../broker-access.ts";
import { examine } from "../broker-doctor/examine.ts";
import type { Finding, Level } from "../broker-doctor/finding.ts";
import { print, printJson } from "../output.ts";
import { addTlsOptions, tlsPathsIn, type TlsFlags } from "../tls-options.ts";

interface Options extends TlsFlags {
  fleet: string;
  device: string;
  json?: boolean;
}

const ANSWER_MS = 5000;
const ARRIVAL_MS = 3000;
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/;
const MARKS: Readonly<Record<Level, string>> = {
  ok: "ok     ",
  note: "note   ",
  warning: "WARNING",
  problem: "PROBLEM",
};

export function brokerDoctor(): Command {
  const command = new Command("doctor")
    .description(
      "Examine a broker: versions, limits, retained messages, sessions, permissions, clock",
    )
    .argument("<url>", "mqtt://, mqtts://, ws:// or wss://")
    .option("--fleet <name>", "whose topics to try", "doctor")
    .option(
      "--device <id>",
      "as whom: the client id, and the name in the topics",
      "fedspine-doctor",
    )
    .option("--json", "one JSON line");
  return addTlsOptions(command).action(run);
}

async function run(url: string, options: Options): Promise<void> {
  checkBrokerUrl(url);
  const { hostname, protocol } = new URL(url);
  const findings = await examine({
    access: {
      url,
      answerMs: ANSWER_MS,
      clock: systemClock,
      ...brokerCredentials(tlsPathsIn(options)),
    },
    arrivalMs: ARRIVAL_MS,
    fleet: options.fleet,
    device: options.device,
    isLoopback: LOOPBACK.test(hostname),
    isEncrypted: protocol === "mqtts:" || protocol === "wss:",
  });
  const isUsable = findings.every(({ level }) => level !== "problem");
  if (options.json === true) printJson({ ok: isUsable, url, findings });
  else printFindings(findings, isUsable);
  if (!isUsable) process.exitCode = ExitCode.failed;
}

function printFindings(findings: readonly Finding[], isUsable: boolean): void {
  for (const { check, level, text, advice } of findings) {
    print(`${MARKS[level]}  ${check.padEnd(11)}  ${text}`);
    if (advice !== undefined) print(`${" ".repeat(22)}-> ${advice}`);
  }
  const warnings = findings.filter(({ level }) => level === "warning").length;
  if (!isUsable) print("fedspine cannot use this broker as it is");
  else if (warnings > 0) print(`usable; ${warnings} thing${warnings === 1 ? "" : "s"} to change`);
  else print("all well");
}
