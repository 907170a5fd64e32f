/** The header of a safetensors file: parsed and checked as a whole before any tensor is read. */
import * as v from "valibot";
import { shapeText } from "../base/arrays.ts";
import { CheckpointError } from "../base/errors.ts";

/** Bytes of one element. */
export const dtypeBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

export type Dtype = keyof typeof dtypeBytes;

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Offset in the file. */
  readonly byteStart: number;
  readonly byteLength: number;
}

export interface SafetensorsHeader {
  /** In order of their place in the file. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What the reference implementation accepts. */
const maxHeaderBytes = 100_000_000;
export const headerLengthBytes = 8;

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const entrySchema = v.object({
  dtype: v.picklist(Object.keys(dtypeBytes) as Dtype[]),
  shape: v.array(whole),
  data_offsets: v.tuple([whole, whole]),
});
const metadataSchema = v.record(v.string(), v.string());

/** Bytes of the JSON header, from the first eight bytes. Throws CheckpointError beyond the limits. */
export function headerByteLength(start: Uint8Array, fileBytes: number, origin: string): number {
  if (start.length < headerLengthBytes) {
    throw new CheckpointError(`${origin} is no safetensors file`, {
      expected: `at least ${headerLengthBytes} bytes`,
      got: `${fileBytes} bytes`,
    });
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  const limit = Math.min(maxHeaderBytes, fileBytes - headerLengthBytes);
  if (length <= BigInt(limit)) return Number(length);
  throw new CheckpointError(`${origin}: the header is larger than it can be`, {
    expected: `at most ${limit} bytes`,
    got: `${length} bytes`,
    hint: "the file is truncated or no safetensors file; download it again",
  });
}

/**
 * The header from its JSON bytes. Offsets must cover the data area without gap or overlap and fit
 * type and shape. Throws CheckpointError naming the file and the tensor.
 */
export function parseHeader(
  json: Uint8Array,
  fileBytes: number,
  origin: string,
): SafetensorsHeader {
  const text = decodeText(json, origin);
  const entries = parseObject(text, origin);
  const dataStart = headerLengthBytes + json.length;
  const tensors: TensorInfo[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of entries) {
    if (name === "__metadata__") {
      if (!v.is(metadataSchema, value)) {
        throw new CheckpointError(`${origin}: __metadata__`, { expected: "texts by name" });
      }
      metadata = value;
    } else {
      tensors.push(tensorInfo(name, value, dataStart, origin));
    }
  }
  tensors.sort((a, b) => a.byteStart - b.byteStart || a.byteLength - b.byteLength);
  checkCoverage(tensors, dataStart, fileBytes, origin);
  return { tensors: new Map(tensors.map((info) => [info.name, info])), metadata };
}

function decodeText(json: Uint8Array, origin: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
  } catch (cause) {
    throw new CheckpointError(`${origin}: the header is not UTF-8`, { cause });
  }
}

/** Entries of the header object, each key once: JSON.parse alone would silently keep the last. */
function parseObject(text: string, origin: string): [string, unknown][] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(`${origin}: the header is not JSON`, { cause });
  }
  if (!text.startsWith("{") || typeof value !== "object" || value === null) {
    throw new CheckpointError(`${origin}: the header holds the wrong thing`, {
      expected: "a JSON object",
    });
  }
  const seen = new Set<string>();
  for (const key of topLevelKeys(text)) {
    if (seen.has(key)) {
      throw new CheckpointError(`${origin}: tensor ${key}`, { expected: "once", got: "twice" });
    }
    seen.add(key);
  }
  return Object.entries(value);
}

/** The keys of the outermost object of a text that is known to be JSON, repeated ones too. */
function* topLevelKeys(text: string): Generator<string> {
  const tokens = /"(?:[^"\\]|\\.)*"|[{}[\]:]/gs;
  let depth = 0;
  let lastString = "";
  for (const [token] of text.matchAll(tokens)) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (token !== ":") lastString = token;
    else if (depth === 1) yield JSON.parse(lastString) as string;
  }
}

function tensorInfo(name: string, value: unknown, dataStart: number, origin: string): TensorInfo {
  const parsed = v.safeParse(entrySchema, value);
  if (!parsed.success) {
    const { path, message } = parsed.issues[0];
    const field = path?.map((item) => String(item.key)).join(".") ?? "entry";
    throw new CheckpointError(`${origin}: tensor ${name}: ${field}`, {
      expected: "a known dtype, a shape and two offsets of whole numbers",
      got: message,
    });
  }
  const { dtype, shape, data_offsets: offsets } = parsed.output;
  const byteLength = shape.reduce((size, side) => size * side, dtypeBytes[dtype]);
  if (!Number.isSafeInteger(byteLength) || offsets[1] - offsets[0] !== byteLength) {
    throw new CheckpointError(`${origin}: tensor ${name} does not fill its place`, {
      expected: `${byteLength} bytes for ${dtype} ${shapeText(shape)}`,
      got: `${offsets[1] - offsets[0]} bytes`,
    });
  }
  return { name, dtype, shape, byteStart: dataStart + offsets[0], byteLength };
}

function checkCoverage(
  tensors: readonly TensorInfo[],
  dataStart: number,
  fileBytes: number,
  origin: string,
): void {
  let end = dataStart;
  for (const { name, byteStart, byteLength } of tensors) {
    if (byteStart !== end) {
      throw new CheckpointError(
        `${origin}: tensor ${name} ${byteStart < end ? "overlaps another" : "leaves a gap"}`,
        { expected: `offset ${end - dataStart}`, got: String(byteStart - dataStart) },
      );
    }
    end += byteLength;
    if (end > fileBytes) {
      throw new CheckpointError(`${origin} is truncated in tensor ${name}`, {
        expected: `at least ${end} bytes`,
        got: `${fileBytes} bytes`,
        hint: "download or copy the file again",
      });
    }
  }
  if (end !== fileBytes) {
    throw new CheckpointError(`${origin} has bytes that belong to no tensor`, {
      expected: `${end} bytes`,
      got: `${fileBytes} bytes`,
    });
  }
}
