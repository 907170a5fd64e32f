/** What a trainer keeps between rounds, as one record: how its pruning stands, and what its last update could not say. */
import type { TrainerMemory } from "./trainer-memory.ts";

export interface TrainerRecord {
  /** See pruning-state.ts; null where nothing was pruned. */
  readonly pruning: Uint8Array | null;
  /** See residual.ts, with the run that it belongs to; null where updates are sent as they are. */
  readonly residual: { readonly run: string; readonly bytes: Uint8Array } | null;
}

/** Tells a record from the bytes of a state of pruning alone, which is a safetensors file. */
const MAGIC = 0x31524654;
const HEADER_BYTES = 12;

/** Magic, length of the run's name, length of the state of pruning, and the three. A state of pruning alone is kept as it is. */
export function packRecord({ pruning, residual }: TrainerRecord): Uint8Array | null {
  if (residual === null) return pruning;
  const parts = [Buffer.from(residual.run), pruning ?? new Uint8Array(), residual.bytes];
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(parts[0]?.length ?? 0, 4);
  header.writeUInt32LE(parts[1]?.length ?? 0, 8);
  return new Uint8Array(Buffer.concat([header, ...parts]));
}

export function unpackRecord(bytes: Uint8Array | null): TrainerRecord {
  if (bytes === null) return { pruning: null, residual: null };
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.length < HEADER_BYTES || view.readUInt32LE(0) !== MAGIC)
    return { pruning: bytes, residual: null };
  const middle = HEADER_BYTES + view.readUInt32LE(4);
  const end = middle + view.readUInt32LE(8);
  const run = view.toString("utf8", HEADER_BYTES, middle);
  const pruning = end === middle ? null : bytes.slice(middle, end);
  return { pruning, residual: { run, bytes: bytes.slice(end) } };
}

/** Changes parts of the record and leaves the others. */
export function keepRecord(memory: TrainerMemory, change: Partial<TrainerRecord>): void {
  const bytes = packRecord({ ...unpackRecord(memory.load()), ...change });
  if (bytes !== null) memory.save(bytes);
}
