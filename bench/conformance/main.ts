/**
 * Runs the MQTT 3.1.1 client tests of Eclipse paho.mqtt.testing, from a copy that the user has fetched, against the
 * bundled broker.
 *
 *   node dist/bench/conformance/main.js --suite ../paho.mqtt.testing
 *
 * The suite needs Python 3 and prints one line per test; exit status 1 when one of them failed.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startBroker } from "../../broker/src/broker.ts";
import { REFUSED_FILTER, STANDARD_SETTINGS, standardPolicy } from "./standard-policy.ts";

const { values: args } = parseArgs({
  options: {
    suite: { type: "string", default: "../paho.mqtt.testing" },
    python: { type: "string", default: "python3" },
  },
});

const folder = join(args.suite, "interoperability");
if (!existsSync(join(folder, "client_test.py"))) {
  process.stderr.write(
    `conformance: ${folder} has no client_test.py\n` +
      `hint: git clone https://github.com/eclipse-paho/paho.mqtt.testing, then --suite PATH\n`,
  );
  process.exit(64);
}

const broker = await startBroker({ port: 0, ...STANDARD_SETTINGS }, standardPolicy);
const suite = spawn(
  args.python,
  [
    "client_test.py",
    ...["--hostname", broker.host, "--port", String(broker.port)],
    ...["--zero_length_clientid", "--dollar_topics", "--subscribe_failure"],
    ...["--nosubscribe_topic_filter", REFUSED_FILTER],
  ],
  { cwd: folder, stdio: ["ignore", "pipe", "inherit"] },
);
let output = "";
suite.stdout.on("data", (text: Buffer) => {
  output += text.toString();
  process.stdout.write(text);
});
const code = await new Promise<number | null>((resolve) => {
  suite.once("error", () => resolve(null));
  suite.once("close", resolve);
});
await broker.close();
// The suite itself ends with 0 whatever it found.
process.exitCode = code === 0 && /^test suite succeeded$/m.test(output) ? 0 : 1;
