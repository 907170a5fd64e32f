/**
 * The coordinator's end as a process of its own: `hub-process.js <port> <folder> <bytes>`. Serves one blob of so many
 * bytes from disk, answers each event with a command of the same bytes, and prints the blob's name as one JSON line.
 */
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { parseTopic } from "../../src/protocol/topics.ts";
import { connect, coordinatorEnd, noise, topics } from "./ends.ts";

const [port = 0, folder = "", sizeBytes = 0] = process.argv
  .slice(2)
  .map((text, i) => (i === 1 ? text : Number(text))) as [number, string, number];

const store = await DiskBlobStore.at(folder);
const blob = await store.put(noise(sizeBytes, "blob"));
await coordinatorEnd(port, store);
const control = await connect(port, "hub");
await control.subscribe(topics.everyDevice("evt"), (topic, payload) => {
  const device = parseTopic(topic)?.device;
  if (device === undefined) return;
  const { cmd } = topics.device(device);
  control.publish(cmd, payload, { qos: 1, retain: false }).catch(() => undefined);
});
process.stdout.write(`${JSON.stringify(blob)}\n`);
