/** Seals for a coordinator and devices whose keys exist in memory only. */
import { Rng } from "../../src/base/rng.ts";
import { type KeyPair, newKeyPair } from "../../src/security/keys.ts";
import {
  type MessageSeal,
  coordinatorSeal,
  deviceSeal,
} from "../../src/security/sealed-transport.ts";

export class SealedFleet {
  readonly coordinatorKeys = newKeyPair("signing");
  readonly #devices = new Map<string, KeyPair>();
  #starts = 0;

  keysOf(id: string): KeyPair {
    const keys = this.#devices.get(id) ?? newKeyPair("signing");
    this.#devices.set(id, keys);
    return keys;
  }

  revoke(id: string): void {
    this.#devices.delete(id);
  }

  /** A seal is one process start. */
  device(id: string, keys = this.keysOf(id)): MessageSeal {
    const { publicKey: coordinatorKey } = this.coordinatorKeys;
    return deviceSeal({ signKey: keys.privateKey, coordinatorKey, rng: this.#rng() });
  }

  coordinator(): MessageSeal {
    const { privateKey: signKey, publicKey } = this.coordinatorKeys;
    const keyOf = (id: string) => this.#devices.get(id)?.publicKey ?? null;
    return coordinatorSeal({ signKey, publicKey, keyOf, rng: this.#rng() });
  }

  #rng(): Rng {
    return Rng.fromSeed(`start ${this.#starts++}`);
  }
}
