/** Two connections at once: both, or none is left open. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../src/base/clock.ts";
import { TransportError } from "../../src/base/errors.ts";
import { Rng } from "../../src/base/rng.ts";
import { connectPair } from "../../src/transport/connection-pair.ts";
import { MemoryBroker } from "../../src/transport/memory.ts";
import type { Transport, TransportFactory } from "../../src/transport/transport.ts";

const will = { topic: "gone", payload: Buffer.from("gone"), qos: 1, retain: false } as const;
const options = { controlId: "a", dataId: "a.data", clean: true, keepaliveSeconds: 30, will };

test("both connections open under their own ids and close together", async () => {
  const broker = new MemoryBroker({ clock: new ManualClock(), rng: Rng.fromSeed(1) });
  const pair = await connectPair(broker, options);
  assert.deepEqual([pair.control.clientId, pair.data.clientId], ["a", "a.data"]);
  await pair.close();
  assert.deepEqual([pair.control.state, pair.data.state], ["disconnected", "disconnected"]);
});

test("when the second one is refused the first is closed", async () => {
  const broker = new MemoryBroker({ clock: new ManualClock(), rng: Rng.fromSeed(1) });
  const opened: Transport[] = [];
  const factory: TransportFactory = {
    async connect(connectOptions) {
      if (connectOptions.will !== undefined) throw new TransportError("refused");
      const transport = await broker.connect(connectOptions);
      opened.push(transport);
      return transport;
    },
  };
  await assert.rejects(connectPair(factory, options), /refused/);
  assert.deepEqual(
    opened.map(({ state }) => state),
    ["disconnected"],
  );
});
