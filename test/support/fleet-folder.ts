/** A fleet's keys in a temporary folder, devices that are enrolled without the ceremony, and a broker that knows them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { type Broker, startBroker } from "../../broker/src/broker.ts";
import type { BrokerConfigInput } from "../../broker/src/config.ts";
import { systemClock } from "../../src/base/clock.ts";
import { Rng } from "../../src/base/rng.ts";
import { coordinatorRights, deviceRights } from "../../src/protocol/rights.ts";
import { FleetFolder, type TlsFiles } from "../../src/security/fleet-folder.ts";
import { type KeyPair, newKeyPair, pemOf, publicText } from "../../src/security/keys.ts";
import { mqttTransportFactory } from "../../src/transport/mqtt.ts";
import type { TransportFactory } from "../../src/transport/transport.ts";
import { must } from "./must.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export interface TlsTexts {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface EnrolledDevice {
  readonly id: string;
  readonly tls: TlsTexts;
  readonly signing: KeyPair;
}

export class TestFleet {
  readonly folder: FleetFolder;
  readonly path: string;

  constructor(t: TestContext, fleet = "plant") {
    this.path = join(temporaryFolder(t), "fleet");
    const info = {
      fleet,
      hosts: ["127.0.0.1", "localhost"],
      broker: "mqtts://127.0.0.1:1",
      enrolment: "https://127.0.0.1:1",
    };
    this.folder = FleetFolder.create(this.path, info, Date.now());
  }

  enrolled(id: string): EnrolledDevice {
    const { register } = this.folder;
    const [tls, signing] = [newKeyPair("tls"), newKeyPair("signing")];
    register.request(id, {
      tlsKey: publicText(tls.publicKey),
      signKey: publicText(signing.publicKey),
      type: "test",
      address: "here",
      atMs: 0,
    });
    const { certificate } = register.accept(id, this.folder.issuer(), Date.now());
    const ca = this.folder.authorityPem;
    return { id, signing, tls: { ca, cert: must(certificate), key: pemOf(tls.privateKey) } };
  }

  get coordinatorTls(): TlsTexts {
    return texts(this.folder.coordinatorFiles);
  }

  get brokerSettings(): BrokerConfigInput {
    const { ca, cert, key } = this.folder.serverFiles;
    const { fleet } = this.folder.info;
    return {
      tls: { ca, cert, key },
      access: {
        identities: this.folder.identitiesFolder,
        roles: {
          device: mutable(deviceRights(fleet)),
          coordinator: mutable(coordinatorRights(fleet)),
        },
      },
    };
  }

  async broker(t: TestContext, settings: BrokerConfigInput = {}): Promise<Broker> {
    const broker = await startBroker({ port: 0, ...this.brokerSettings, ...settings });
    t.after(() => broker.close());
    return broker;
  }
}

export function texts({ ca, cert, key }: TlsFiles): TlsTexts {
  const read = (path: string): string => readFileSync(path, "utf8");
  return { ca: read(ca), cert: read(cert), key: read(key) };
}

/** Connections with given credentials. */
export function access(
  url: string,
  credentials: { tls?: Partial<TlsTexts>; username?: string; password?: string },
): TransportFactory {
  const rng = Rng.fromSeed(`${url} ${performance.now()}`);
  const backoff = { firstMs: 20, maxMs: 100 };
  return mqttTransportFactory({ url, clock: systemClock, rng, backoff, ...credentials });
}

function mutable(rights: ReturnType<typeof deviceRights>) {
  const { clientIds, publish, retain, subscribe } = rights;
  return {
    clientIds: [...clientIds],
    publish: [...publish],
    retain: [...retain],
    subscribe: [...subscribe],
  };
}
