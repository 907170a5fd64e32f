/** The demo's unequal devices and what each of them owns. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Rng } from "../../base/rng.ts";
import { loadDataset } from "../../data/dataset.ts";
import type { Dataset, Example } from "../../data/examples.ts";
import { labelSkew, partition } from "../../data/partition.ts";
import { generateEvents } from "../../demo-data/events.ts";
import { EVENT_LABELS, GATEWAY_KINDS } from "../../demo-data/tables.ts";

/** How a device differs from this machine; speeds and links are emulated, see docs/demo-data.md. */
export interface DeviceProfile {
  readonly type: string;
  /** 1 is this machine; at 0.25 a step takes four times as long. */
  readonly speed: number;
  readonly upBytesPerSecond: number;
  readonly downBytesPerSecond: number;
  readonly latencyMs: number;
  readonly memoryBytes: number;
}

const GIB = 2 ** 30;

/**
 * Fastest first; a fleet takes them in turn. The order is that of the real boards, the distances are
 * far smaller: a true Zero 2 would make the demo wait for it.
 */
const PROFILES: readonly DeviceProfile[] = [
  profile("mini-pc", 1, 8_000_000, 8_000_000, 2, 8 * GIB),
  profile("pi-5", 0.9, 4_000_000, 8_000_000, 5, 4 * GIB),
  profile("pi-4", 0.7, 2_000_000, 4_000_000, 10, 2 * GIB),
  profile("pi-4-wifi", 0.6, 500_000, 1_500_000, 30, 2 * GIB),
  profile("pi-3", 0.5, 400_000, 1_200_000, 30, 1 * GIB),
  profile("pi-zero-2", 0.4, 250_000, 1_000_000, 40, 0.5 * GIB),
];

/** Examples of the generated task by device, largest first: gateways do not see equally much. */
const GENERATED_SIZES = [1920, 1560, 1260, 1020, 780, 540] as const;
const GENERATED_TEST_SIZE = 480;
/** Concentration of the label mix when a user's data are dealt out; below 1 is strongly skewed. */
const DIRICHLET_ALPHA = 0.5;

export interface DemoDevice {
  readonly id: string;
  readonly profile: DeviceProfile;
  readonly examples: readonly Example[];
}

export interface DemoFleet {
  readonly devices: readonly DemoDevice[];
  readonly test: Dataset;
  /** How data were read and dealt, one sentence each. */
  readonly notes: readonly string[];
}

/** Generated gateway events: each device sees one kind of gateway. */
export function generatedFleet(numDevices: number, seed: number): DemoFleet {
  const devices = Array.from({ length: numDevices }, (_, i) => {
    const kind = GATEWAY_KINDS[i % GATEWAY_KINDS.length] as (typeof GATEWAY_KINDS)[number];
    const count = GENERATED_SIZES[i % GENERATED_SIZES.length] as number;
    const examples = generateEvents({ seed: `${seed}/${i}`, count, kinds: [kind] });
    return { id: deviceId(i), profile: profileOf(i), examples };
  });
  const examples = generateEvents({ seed, count: GENERATED_TEST_SIZE, part: "test" });
  return {
    devices,
    test: { examples, labels: EVENT_LABELS },
    notes: [
      `data: gateway event triage, synthetic (docs/demo-data.md), ${EVENT_LABELS.length} classes`,
      `dealt by kind of gateway, ${skewText(devices)}`,
    ],
  };
}

/** A user's data, dealt out unequally by label. Throws DataError or ConfigError. */
export function userFleet(
  path: string,
  numDevices: number,
  seed: number,
  columns: { textColumn?: string; labelColumn?: string },
): DemoFleet {
  const { train, test, columns: sentence, split, notes } = loadDataset(path, { seed, ...columns });
  const parts = partition(
    train.examples,
    numDevices,
    { kind: "dirichlet", alpha: DIRICHLET_ALPHA, minExamples: 8 },
    Rng.fromSeed(seed).fork("deal"),
  );
  const devices = parts.map(({ indices }, i) => ({
    id: deviceId(i),
    profile: profileOf(i),
    examples: indices.map((index) => train.examples[index] as Example),
  }));
  const dealt = `dealt by label, Dirichlet ${DIRICHLET_ALPHA}, ${skewText(devices)}`;
  return { devices, test, notes: [`data: ${path}`, sentence, split, ...notes, dealt] };
}

/** Writes one JSONL file per device, which only that device reads. Returns the paths in order. */
export function writeDeviceData(folder: string, devices: readonly DemoDevice[]): string[] {
  mkdirSync(folder, { recursive: true });
  return devices.map(({ id, examples }) => {
    const path = join(folder, `${id}.jsonl`);
    const lines = examples.map(({ text, label }) => JSON.stringify({ text, label }));
    writeFileSync(path, `${lines.join("\n")}\n`);
    return path;
  });
}

function skewText(devices: readonly DemoDevice[]): string {
  const all = devices.flatMap(({ examples }) => examples);
  let next = 0;
  const parts = devices.map(({ id, examples }) => ({
    name: id,
    indices: examples.map(() => next++),
  }));
  const sizes = devices.map(({ examples }) => examples.length);
  const skew = labelSkew(all, parts).toFixed(2);
  return `${Math.min(...sizes)} to ${Math.max(...sizes)} examples a device, label skew ${skew}`;
}

function deviceId(index: number): string {
  return `gw-${index + 1}`;
}

function profileOf(index: number): DeviceProfile {
  return PROFILES[index % PROFILES.length] as DeviceProfile;
}

function profile(
  type: string,
  speed: number,
  upBytesPerSecond: number,
  downBytesPerSecond: number,
  latencyMs: number,
  memoryBytes: number,
): DeviceProfile {
  return { type, speed, upBytesPerSecond, downBytesPerSecond, latencyMs, memoryBytes };
}
