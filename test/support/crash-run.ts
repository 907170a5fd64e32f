/** One run in which processes are killed by a seed's lot, and what has to hold at its end whoever died when. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Rng } from "../../src/base/rng.ts";
import { readRunRecord } from "../../src/coordinator/run-journal.ts";
import { DiskBlobStore } from "../../src/transfer/disk-blob-store.ts";
import { manifestOf } from "../../src/protocol/manifest.ts";
import { CrashSite } from "./crash-site.ts";

export interface CrashRunOptions {
  /** null: nobody is killed. */
  readonly seed: number | null;
  readonly folder: string;
  readonly devices: readonly string[];
  readonly rounds: number;
  /** Kills at random moments, beside those at writes of the journal. */
  readonly numKills: number;
  /** Writes at which the coordinator's processes die; the seed's lot by default. */
  readonly dieAt?: readonly number[];
}

export interface CrashOutcome {
  readonly seed: number | null;
  /** What does not hold; empty when all does. */
  readonly problems: readonly string[];
  readonly kills: Readonly<Record<string, number>>;
  readonly numStarts: number;
  /** SHA-256 of the last global adapter. */
  readonly adapter: string;
  /** Root of the adapter that each device started its last round from. */
  readonly roots: Readonly<Record<string, string>>;
  readonly durationMs: number;
}

const LIMIT_MS = 120_000;
const MEAN_GAP_MS = 500;
const STEP_MS = 40;

export async function crashRun(options: CrashRunOptions): Promise<CrashOutcome> {
  const { seed, folder, devices, rounds } = options;
  const startMs = performance.now();
  const rng = Rng.fromSeed(`crash ${seed}`);
  // A first round takes about ten writes; a process that takes over in the middle of one has fewer left.
  const numWrites = 5 + 2 * devices.length;
  const byLot = [0, 1, 2].map(() => rng.int(numWrites + 4) - 3);
  const dieAt = options.dieAt ?? (seed === null ? [] : byLot);
  const site = new CrashSite({ folder, devices, rounds, stepMs: STEP_MS, dieAt });
  const kills: Record<string, number> = {};
  try {
    await site.open();
    if (seed !== null) await disturb(site, options, rng, kills);
    await until(() => site.ending !== null);
    await until(() => devices.every((id) => !site.isRunning(id)), 10_000);
  } finally {
    await site.close();
  }
  kills["coordinator at a write"] = dieAt.filter((at) => at !== 0).length;
  const outcome = {
    ...{ seed, kills, numStarts: site.numStarts },
    adapter: adapterIn(site.runFolder, rounds),
    roots: await adapterRoots(site, devices),
    problems: await problemsOf(site, options),
    durationMs: Math.round(performance.now() - startMs),
  };
  rmSync(folder, { recursive: true, force: true });
  return outcome;
}

/** Whether a disturbed run has ended like one that was left alone. */
export function differences(calm: CrashOutcome, disturbed: CrashOutcome): string[] {
  const problems = [...disturbed.problems];
  if (disturbed.adapter !== calm.adapter) problems.push("the last adapter differs");
  for (const [device, root] of Object.entries(disturbed.roots)) {
    if (root !== calm.roots[device]) problems.push(`${device} ends with another adapter`);
  }
  return problems;
}

async function disturb(
  site: CrashSite,
  { devices, numKills }: CrashRunOptions,
  rng: Rng,
  kills: Record<string, number>,
): Promise<void> {
  const roles = [() => "coordinator", () => "coordinator", () => "broker", () => rng.pick(devices)];
  for (let i = 0; i < numKills; i++) {
    const name = rng.pick(roles)();
    await pause(-MEAN_GAP_MS * Math.log(1 - rng.next()));
    if (site.ending !== null) return;
    const role = devices.includes(name) ? "device" : name;
    kills[role] = (kills[role] ?? 0) + 1;
    await site.kill(name);
  }
}

async function problemsOf(
  site: CrashSite,
  { devices, rounds }: CrashRunOptions,
): Promise<string[]> {
  const problems = [...site.faults];
  const { ending } = site;
  if (ending === null) return [...problems, "the run did not end in time"];
  if (!ending.ok) problems.push(`the run failed: ${ending.reason}`);
  const counted = JSON.stringify(ending.rounds);
  const wanted = JSON.stringify(devices.map((id) => [id, rounds]));
  if (counted !== wanted) problems.push(`updates counted: ${counted}, wanted ${wanted}`);
  const record = readRunRecord(site.runFolder);
  if (record?.checkpoint?.round !== rounds) problems.push("the last round is not in the journal");
  if (Object.keys(record?.updates ?? {}).length > 0) problems.push("an update was left unmerged");
  problems.push(...mergedTwice(site.runFolder, devices));
  for (const path of [
    site.runFolder,
    join(site.runFolder, "blobs"),
    ...devices.flatMap((id) => [
      site.folderOf(id),
      join(site.folderOf(id), "blobs"),
      join(site.folderOf(id), "bases"),
    ]),
  ]) {
    const left = readdirSync(path).filter((name) => /\.(part|leaves|new\d+)$/.test(name));
    if (left.length > 0) problems.push(`${path} has ${left.join(", ")}`);
  }
  for (const id of devices) problems.push(...(await damageIn(join(site.folderOf(id), "blobs"))));
  return problems;
}

/** A round may be merged again when its coordinator died before it was saved, then of the same updates. */
function mergedTwice(runFolder: string, devices: readonly string[]): string[] {
  const lines = readFileSync(join(runFolder, "events.jsonl"), "utf8").split("\n");
  const wanted = JSON.stringify(devices);
  return lines
    .filter((line) => line.includes('"kind":"aggregated"'))
    .flatMap((line) => {
      const { round, devices: merged } = JSON.parse(line) as { round: number; devices: string[] };
      return JSON.stringify(merged) === wanted ? [] : [`round ${round} merged ${merged.join(" ")}`];
    });
}

async function damageIn(folder: string): Promise<string[]> {
  const store = await DiskBlobStore.at(folder);
  const damaged: string[] = [];
  for (const root of await store.list()) {
    if (manifestOf(await store.readAll(root)).root !== root) damaged.push(`${root} is damaged`);
  }
  return damaged;
}

/** What is in each device's store that is neither its base nor its update. */
async function adapterRoots(
  site: CrashSite,
  devices: readonly string[],
): Promise<Record<string, string>> {
  const base = manifestOf(readFileSync(join(site.base, "model.safetensors"))).root;
  const roots: Record<string, string> = {};
  for (const id of devices) {
    const store = await DiskBlobStore.at(join(site.folderOf(id), "blobs"));
    const finished = join(site.folderOf(id), "finished.json");
    const update = existsSync(finished) ? readFileSync(finished, "utf8") : "";
    const others = (await store.list()).filter((root) => root !== base && !update.includes(root));
    roots[id] = others.join(" ");
  }
  return roots;
}

function adapterIn(runFolder: string, round: number): string {
  const path = join(runFolder, `adapter-round-${round}.safetensors`);
  if (!existsSync(path)) return "none";
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

async function until(condition: () => boolean, limitMs = LIMIT_MS): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!condition() && performance.now() < endMs) await pause(20);
}
