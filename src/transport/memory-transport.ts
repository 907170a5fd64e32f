/** The client's half of the in-process broker. */
import { TransportError } from "../base/errors.ts";
import type { MemoryBroker } from "./memory.ts";
import { StateListeners } from "./state-listeners.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { FaultListener } from "./subscriptions.ts";
import type {
  ConnectOptions,
  MessageHandler,
  PublishOptions,
  Transport,
  TransportState,
} from "./transport.ts";

/** Made by `MemoryBroker.connect`; `enter` and `deliver` are the broker's to call. */
export class MemoryTransport implements Transport {
  readonly options: ConnectOptions;
  readonly #broker: MemoryBroker;
  readonly #subscriptions: Subscriptions;
  readonly #states = new StateListeners();
  #closed = false;

  constructor(broker: MemoryBroker, options: ConnectOptions, onFault: FaultListener) {
    this.#broker = broker;
    this.options = options;
    this.#subscriptions = new Subscriptions(!options.clean, onFault);
  }

  get clientId(): string {
    return this.options.clientId;
  }

  get state(): TransportState {
    return this.#states.state;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get filters(): string[] {
    return this.#subscriptions.filters;
  }

  enter(state: TransportState): void {
    this.#states.enter(state);
  }

  deliver(topic: string, payload: Uint8Array): void {
    if (!this.#closed) this.#subscriptions.dispatch(topic, payload);
  }

  async publish(topic: string, payload: Uint8Array, options: PublishOptions): Promise<void> {
    if (this.state !== "connected") {
      throw new TransportError("not connected to the in-process broker", { topic });
    }
    this.#broker.publish(topic, payload, options);
  }

  async subscribe(filter: string, handler: MessageHandler): Promise<void> {
    this.#subscriptions.add(filter, handler);
    this.#broker.subscribe(this, filter);
  }

  async unsubscribe(filter: string): Promise<void> {
    this.#subscriptions.remove(filter);
    this.#broker.unsubscribe(this, filter);
  }

  onState(listener: (state: TransportState) => void): () => void {
    return this.#states.listen(listener);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#broker.detach(this);
    this.#states.enter("disconnected");
  }
}
