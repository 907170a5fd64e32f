/** Worker threads that train and score; jobs start in the order in which they are given. */
import { Worker } from "node:worker_threads";
import { FedspineError, RoundError } from "../base/errors.ts";
import type { Job, JobAnswer, JobMessage, ResultOf, WorkerSetup } from "./trainer-jobs.ts";

/** Who does the jobs of a simulation. */
export interface JobRunner {
  /**
   * Rejects with RoundError when the job fails, and with the signal's reason when it is aborted: a job that has not begun
   * is dropped then, the result of another is thrown away.
   */
  run<J extends Job>(job: J, signal?: AbortSignal): Promise<ResultOf<J>>;
  /** Ends for good; what is under way is rejected. */
  close(): Promise<void>;
}

interface Pending {
  readonly message: JobMessage;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerPool implements JobRunner {
  readonly #workers: Worker[];
  readonly #idle: Worker[];
  readonly #waiting: Pending[] = [];
  readonly #running = new Map<Worker, Pending>();
  #serial = 0;
  #failure: Error | null = null;

  constructor(setup: WorkerSetup, numWorkers: number) {
    const script = new URL("./worker.js", import.meta.url);
    this.#workers = Array.from(
      { length: numWorkers },
      () => new Worker(script, { workerData: setup }),
    );
    this.#idle = [...this.#workers];
    for (const worker of this.#workers) {
      worker.on("message", (answer: JobAnswer) => this.#answered(worker, answer));
      worker.on("error", (error) => this.#fail(error));
      // A worker that only waits must not keep the process alive.
      worker.unref();
    }
  }

  run<J extends Job>(job: J, signal?: AbortSignal): Promise<ResultOf<J>> {
    let forget = (): void => undefined;
    const done = new Promise<ResultOf<J>>((resolve, reject) => {
      if (this.#failure !== null) return reject(this.#failure);
      if (signal?.aborted === true) return reject(signal.reason as Error);
      const pending: Pending = { message: { serial: this.#serial++, job }, resolve, reject };
      this.#waiting.push(pending);
      const drop = (): void => this.#drop(pending, signal?.reason as Error);
      signal?.addEventListener("abort", drop);
      // A signal that outlives many jobs must not keep them and what they were given.
      forget = () => signal?.removeEventListener("abort", drop);
      this.#pump();
    });
    return done.finally(() => forget());
  }

  async close(): Promise<void> {
    this.#fail(new FedspineError("the workers are closed"));
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #pump(): void {
    while (this.#idle.length > 0 && this.#waiting.length > 0) {
      const worker = this.#idle.shift() as Worker;
      const pending = this.#waiting.shift() as Pending;
      this.#running.set(worker, pending);
      worker.ref();
      worker.postMessage(pending.message);
    }
  }

  #answered(worker: Worker, answer: JobAnswer): void {
    const pending = this.#running.get(worker);
    this.#running.delete(worker);
    this.#idle.push(worker);
    worker.unref();
    this.#pump();
    if (pending === undefined) return;
    if ("failure" in answer) pending.reject(new RoundError(answer.failure));
    else pending.resolve(answer.result as never);
  }

  #drop(pending: Pending, reason: Error): void {
    const place = this.#waiting.indexOf(pending);
    if (place >= 0) this.#waiting.splice(place, 1);
    pending.reject(reason);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of [...this.#waiting.splice(0), ...this.#running.values()]) {
      reject(this.#failure);
    }
  }
}
