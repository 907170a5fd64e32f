/** --ca, --cert and --key: PEM files for one connection, before those of the settings. */
import type { Command } from "commander";
import type { TlsPaths } from "./broker-access.ts";

export interface TlsFlags {
  ca?: string;
  cert?: string;
  key?: string;
}

export function addTlsOptions(command: Command): Command {
  return command
    .option("--ca <file>", "authority that the broker's certificate must come from")
    .option("--cert <file>", "certificate to show to the broker")
    .option("--key <file>", "its private key");
}

/** Those that were given. */
export function tlsPathsIn({ ca, cert, key }: TlsFlags): TlsPaths {
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
