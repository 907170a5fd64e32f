/** A coordinator as a process: `coordinator-process.js <coordinator.json>`. FEDSPINE_DIE_AT=<n> kills it at the n-th write of its journal. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { parseCoordinatorConfig } from "../../src/coordinator/config.ts";
import { runCoordinator } from "../../src/coordinator/run-coordinator.ts";
import { type TakeJournal, readRunRecord, takeSynced } from "../../src/coordinator/run-journal.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import { TOY_HEADS, TOY_SHAPE } from "./toy-shape.ts";

const [configPath = ""] = process.argv.slice(2);
const config = parseCoordinatorConfig(JSON.parse(readFileSync(configPath, "utf8")));
const rng = Rng.fromSeed(randomBytes(16).toString("hex"));
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** Positive: dies after the write, before anybody is told; negative: before it. */
const dieAt = Number(process.env["FEDSPINE_DIE_AT"] ?? 0);
const takeJournal: TakeJournal = (folder, sum) => {
  const journal = takeSynced(folder, sum);
  let numWrites = 0;
  const write = (work: () => void): void => {
    numWrites += 1;
    if (-dieAt === numWrites) process.kill(process.pid, "SIGKILL");
    work();
    if (dieAt === numWrites) process.kill(process.pid, "SIGKILL");
  };
  return {
    append: (record) => write(() => journal.append(record)),
    replace: (record) => write(() => journal.replace(record)),
    close: () => journal.close(),
  };
};

const { ok, ending, reason, devices } = await runCoordinator(config, {
  factory: mqttTransportFactory({
    url: config.broker,
    clock: systemClock,
    rng: rng.fork("transport"),
    backoff: { firstMs: 100, maxMs: 500 },
  }),
  clock: systemClock,
  rng,
  evaluate: () => Promise.resolve({ accuracy: 0.5, loss: 1, macroF1: 0.4 }),
  shape: TOY_SHAPE,
  heads: TOY_HEADS,
  onEvent: () => undefined,
  resume: readRunRecord(config.runFolder) !== undefined,
  takeJournal,
});
say({ summary: { ok, ending, reason, rounds: devices.map(({ id, rounds }) => [id, rounds]) } });
