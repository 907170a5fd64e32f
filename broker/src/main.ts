#!/usr/bin/env node
/** The broker as a program: settings from arguments and a file, one JSON line when it listens, SIGTERM ends it. */
import { parseArgs } from "node:util";
import { startBroker } from "./broker.ts";
import type { BrokerConfigInput } from "./config.ts";
import { BrokerConfigError, readConfigFile } from "./config.ts";

const USAGE = `usage: fedspine-broker [--host ADDRESS] [--port N] [--ws-port N] [--config FILE] [--insecure]

An MQTT 3.1.1 broker for one fleet. Listens on 127.0.0.1:1883 unless told otherwise; port 0 picks a free one.
Prints {"listening":{"host","port","wsPort"}} as one line when ready.
Listens beyond loopback only with TLS and access rights (in the configuration file), or with --insecure.
`;

/** Exit codes as in the rest of fedspine: 64 wrong usage, 69 cannot listen. */
const EXIT_USAGE = 64;
const EXIT_UNAVAILABLE = 69;

function settings(): BrokerConfigInput | undefined {
  const { values } = parseArgs({
    options: {
      host: { type: "string" },
      port: { type: "string" },
      "ws-port": { type: "string" },
      config: { type: "string" },
      insecure: { type: "boolean" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return undefined;
  return {
    ...(values.config === undefined ? {} : readConfigFile(values.config)),
    ...(values.host === undefined ? {} : { host: values.host }),
    ...(values.port === undefined ? {} : { port: Number(values.port) }),
    ...(values["ws-port"] === undefined ? {} : { wsPort: Number(values["ws-port"]) }),
    ...(values.insecure === undefined ? {} : { insecure: values.insecure }),
  };
}

function fail(error: unknown): never {
  const usage =
    error instanceof BrokerConfigError || (error instanceof TypeError && "code" in error);
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(usage ? EXIT_USAGE : EXIT_UNAVAILABLE);
}

try {
  const input = settings();
  if (input === undefined) {
    process.stdout.write(USAGE);
  } else {
    const broker = await startBroker(input);
    const { host, port, wsPort } = broker;
    const stop = (): void => {
      void broker.close().then(() => process.exit(0));
    };
    process.once("SIGTERM", stop);
    process.once("SIGINT", stop);
    // Started by another process over a channel: that one gone, nobody could end this one.
    process.once("disconnect", stop);
    process.stdout.write(`${JSON.stringify({ listening: { host, port, wsPort } })}\n`);
  }
} catch (error) {
  fail(error);
}
