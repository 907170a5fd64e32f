/** The two connections of a party: control messages are not to wait behind blobs, nor to die with them. */
import type { ConnectOptions, Transport, TransportFactory, Will } from "./transport.ts";

export interface ConnectionPair {
  readonly control: Transport;
  readonly data: Transport;
  close(): Promise<void>;
}

export interface PairOptions extends Omit<ConnectOptions, "clientId" | "will"> {
  readonly controlId: string;
  readonly dataId: string;
  /** Belongs to the control connection. */
  readonly will: Will;
}

/** Opens both or none. Rejects as `TransportFactory.connect` does. */
export async function connectPair(
  factory: TransportFactory,
  { controlId, dataId, will, ...options }: PairOptions,
): Promise<ConnectionPair> {
  const data = await factory.connect({ ...options, clientId: dataId });
  try {
    const control = await factory.connect({ ...options, clientId: controlId, will });
    return {
      control,
      data,
      close: async () => {
        await Promise.all([data.close(), control.close()]);
      },
    };
  } catch (error) {
    await data.close();
    throw error;
  }
}
