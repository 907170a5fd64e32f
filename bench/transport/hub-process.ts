/**
 * The coordinator's end as a process of its own: `hub-process.js <port> <folder> <bytes>`. Serves one blob of so many
 * bytes from disk and prints its name as one JSON line. Answers each event with a command: the bytes served so far to
 * all devices as a little-endian f64, then the bytes of the event.
 */
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { parseTopic } from "../../src/protocol/topics.ts";
import { connect, coordinatorEnd, noise, topics } from "./ends.ts";

const [portText, folder = "", sizeText] = process.argv.slice(2);
const port = Number(portText);
const store = await DiskBlobStore.at(folder);
const blob = await store.put(noise(Number(sizeText), "blob"));
const { plane } = await coordinatorEnd(port, store);
const control = await connect(port, "hub");
await control.subscribe(topics.everyDevice("evt"), (topic, payload) => {
  const device = parseTopic(topic)?.device;
  if (device === undefined) return;
  const { cmd } = topics.device(device);
  const answer = Buffer.alloc(8 + payload.byteLength);
  answer.writeDoubleLE(plane.stats().servedBytes);
  answer.set(payload, 8);
  control.publish(cmd, answer, { qos: 1, retain: false }).catch(() => undefined);
});
process.stdout.write(`${JSON.stringify(blob)}\n`);
