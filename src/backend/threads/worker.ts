/** A thread of an engine: calls kernels over the engine's memory as its mailbox tells it to, until it is ended. */
import { workerData } from "node:worker_threads";
import { Mailbox } from "./mailbox.ts";
import type { ThreadSetup } from "./team.ts";

type Kernel = (...args: readonly number[]) => void;

const { module, memory, names, mailboxes, index } = workerData as ThreadSetup;
const mailbox = new Mailbox(mailboxes, index);

/** Answers with what `action` throws, if anything. */
function answering<T>(action: () => T): T | null {
  try {
    const result = action();
    mailbox.answer();
    return result;
  } catch (error) {
    mailbox.answer(error instanceof Error ? error.message : String(error));
    return null;
  }
}

const kernels = answering(() => {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return names.map((name) => exports[name] as Kernel);
});
while (kernels !== null) {
  const { kernel, args } = mailbox.next();
  answering(() => (kernels[kernel] as Kernel)(...args));
}
