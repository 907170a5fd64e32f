/** The fleets that come with the simulator; sources and arithmetic are in docs/simulation.md. */
import type { FleetProfileInput } from "./fleet-schema.ts";

const GIB = 1024 ** 3;
/** One training step of RoBERTa-base with batch 16 and 128 tokens, in billions of operations. */
const ROBERTA_STEP_GFLOP = 700;

/** Seconds per billion operations from seconds per step of RoBERTa-base. */
function perGflop(low: number, high: number): [number, number] {
  return [low / ROBERTA_STEP_GFLOP, high / ROBERTA_STEP_GFLOP];
}

const JETSON_MODES = [1, 1.5, 2, 3];
const JETSON_SOURCE =
  "seconds per RoBERTa-base step at 16 x 128 tokens, divided by 700 GFLOP; estimate";

/** 80 boards of the FedSpine testbed's kinds, spread over four distances from a Wi-Fi router. */
const jetson80: FleetProfileInput = {
  boards: [
    jetson("jetson-tx2", 30, 8 * GIB, perGflop(4, 16)),
    jetson("jetson-nx", 40, 8 * GIB, perGflop(1, 6)),
    jetson("jetson-agx", 10, 32 * GIB, perGflop(0.25, 2.5)),
  ],
  links: [
    wifi("wifi-2m", [15, 30]),
    wifi("wifi-8m", [8, 25]),
    wifi("wifi-14m", [3, 15]),
    wifi("wifi-20m", [1, 8]),
  ],
};

function jetson(
  type: string,
  count: number,
  memoryBytes: number,
  secondsPerGflop: [number, number],
): FleetProfileInput["boards"][number] {
  const modes = JETSON_MODES;
  return { type, count, memoryBytes, secondsPerGflop, modes, source: JETSON_SOURCE };
}

function wifi(name: string, megabits: [number, number]): FleetProfileInput["links"][number] {
  return {
    name,
    count: 20,
    upMegabitsPerSecond: megabits,
    downMegabitsPerSecond: megabits,
    latencyMs: [2, 20],
    source: "1 to 30 Mb/s over four distances; the split is an estimate",
  };
}

const GATEWAY_SOURCE =
  "single-core sysbench results relative to the Pi 4, at an estimated 0.35 s/GFLOP for the Pi 4";

/** Single-board computers and small PCs as gateways: one core trains while the others do their duty. */
const gateways: FleetProfileInput = {
  boards: [
    {
      ...gateway("pi-zero-2w", 2, GIB / 2, [0.95, 1.2]),
      source: "the cores of a Pi 3 at 1.0 instead of 1.4 GHz; estimate",
    },
    { ...gateway("pi-3", 2, GIB, [0.7, 0.85]), source: GATEWAY_SOURCE },
    { ...gateway("pi-4", 3, 4 * GIB, [0.33, 0.4]), source: GATEWAY_SOURCE },
    { ...gateway("pi-5", 2, 8 * GIB, [0.17, 0.21]), source: GATEWAY_SOURCE },
    { ...gateway("mini-pc", 1, 16 * GIB, [0.06, 0.1]), source: "estimate" },
  ],
  links: [
    {
      name: "ethernet",
      count: 4,
      upMegabitsPerSecond: [80, 95],
      downMegabitsPerSecond: [80, 95],
      latencyMs: 1,
      source: "100 Mb/s less protocol overhead",
    },
    {
      name: "wifi",
      count: 4,
      upMegabitsPerSecond: [8, 40],
      downMegabitsPerSecond: [10, 45],
      latencyMs: [3, 20],
      source: "2.4 GHz, one antenna; estimate",
    },
    {
      name: "lte",
      count: 2,
      upMegabitsPerSecond: [1, 8],
      downMegabitsPerSecond: [4, 30],
      latencyMs: [30, 80],
      source: "LTE category 1 modem; estimate",
    },
  ],
};

function gateway(
  type: string,
  count: number,
  memoryBytes: number,
  secondsPerGflop: [number, number],
): FleetProfileInput["boards"][number] {
  return { type, count, memoryBytes, secondsPerGflop, jitter: 0.08 };
}

/** By the name that a simulation's `fleet.profile` gives. */
export const builtInFleets: Readonly<Record<string, FleetProfileInput>> = {
  "jetson-80": jetson80,
  gateways,
};
