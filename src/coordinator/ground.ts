/** What a run stands on before it begins: its folder, its base in the blob store, and all that an earlier process has saved. */
import type { NamedArrays } from "../base/arrays.ts";
import { ConfigError, ProtocolError } from "../base/errors.ts";
import { newMessageId } from "../protocol/envelope.ts";
import { MessageStamp } from "../protocol/message-stamp.ts";
import type { Controller } from "../strategies/controllers/controller.ts";
import type { BlobStore } from "../transfer/blob-store.ts";
import { DiskBlobStore } from "../transfer/disk-blob-store.ts";
import { type BaseFile, storeBaseFiles } from "./base-files.ts";
import type { CoordinatorConfig } from "./config.ts";
import type { CoordinatorDeps } from "./coordinator-deps.ts";
import { Downlink } from "./downlink.ts";
import { FleetKnowledge } from "./fleet-knowledge.ts";
import { GlobalModel } from "./global-model.ts";
import { planOf, scaleOf } from "./plan.ts";
import { isDiskFault } from "./disk-guard.ts";
import type { RunEvent } from "./run-events.ts";
import { RunJournal, takeSynced } from "./run-journal.ts";
import { RunFolder, expectSameModel } from "./run-folder.ts";
import { UpdateScreen } from "./update-screen.ts";
import { aggregatorOf, controllerOf, ranksOf, serverRankOf } from "./strategy-config.ts";
import { type HeadShapes, UpdateLayout } from "./update-layout.ts";

/** What a run stands on: its folder, its base in the blob store, and the adapter to go on from. */
export interface Ground {
  readonly journal: RunJournal;
  readonly folder: RunFolder;
  readonly store: BlobStore;
  readonly baseFiles: readonly BaseFile[];
  readonly baseRoots: ReadonlySet<string>;
  readonly model: GlobalModel;
  readonly downlink: Downlink;
  readonly layout: UpdateLayout;
  readonly screen: UpdateScreen;
  readonly knowledge: FleetKnowledge;
  readonly controller: Controller;
  readonly resumedRound: number | null;
  readonly tell: (event: RunEvent) => void;
}

/** Throws ConfigError for settings that do not fit the folder, the base or the checkpoint. */
export async function prepare(config: CoordinatorConfig, deps: CoordinatorDeps): Promise<Ground> {
  const { clock, evaluate, onEvent } = deps;
  const folder = new RunFolder(config.runFolder);
  const store = deps.store ?? (await DiskBlobStore.at(folder.blobFolder));
  const baseFiles = await storeBaseFiles(config.base, store);
  expectTaskFits(config, newMessageId(clock.nowMs(), deps.rng.fork("run")), baseFiles, deps);
  const base = Object.fromEntries(baseFiles.map(({ name, root }) => [name, root]));
  const known = folder.load();
  if (known !== undefined) expectSameModel(known, config, base);
  const journal = openJournal(config, deps);
  const checkpoint = folder.load(journal.record);
  const log = deps.log ?? tolerantLog(folder);
  const tell = (event: RunEvent): void => {
    log(clock.nowMs(), event);
    onEvent(event);
  };
  const aggregator = aggregatorOf(config);
  const { shape } = deps;
  const scale = scaleOf(config);
  const { targets, trainHead } = config.plan;
  const heads: HeadShapes = trainHead ? deps.heads : new Map();
  const layout = new UpdateLayout({ shape, targets, heads, scale });
  const { mode } = config;
  const adapters = new Map(checkpoint ? [[checkpoint.round, checkpoint.adapter]] : []);
  const depth = mode.kind === "buffered" ? mode.maxStaleness + 2 : 1;
  const downlink = new Downlink({ store, shape, adapters, depth });
  const rank = serverRankOf(config);
  const model = new GlobalModel({
    ...{ clock, folder, downlink, aggregator, rank, scale, base, checkpoint, evaluate, tell },
    before: journal.record.before,
  });
  const screen = new UpdateScreen(config.validation, (origin) =>
    downlink.startOf(origin, aggregator.devicesMerge === true),
  );
  const saved = checkpoint?.fleet;
  screen.restore(saved?.norms ?? null);
  const noScores: NamedArrays = new Map();
  const meanScores = saved?.meanScores ?? noScores;
  const knowledge = new FleetKnowledge(shape, saved?.devices ?? {}, meanScores);
  const controller = controllerOf(config);
  if (saved !== undefined) controller.restore(saved.controller.state);
  const baseRoots = new Set(Object.values(base));
  const resumedRound = checkpoint?.round ?? null;
  return {
    ...{ journal, folder, store, baseFiles, baseRoots, model, downlink, layout, knowledge },
    ...{ screen, controller, resumedRound, tell },
  };
}

/** Events are for readers, the run does not need them: what the disk does not take is left out. */
function tolerantLog(folder: RunFolder): (atMs: number, event: RunEvent) => void {
  return (atMs, event) => {
    try {
      folder.log(atMs, event);
    } catch (error) {
      if (!isDiskFault(error)) throw error;
    }
  };
}

function openJournal({ runFolder }: CoordinatorConfig, deps: CoordinatorDeps): RunJournal {
  const { clock, rng, resume, takeJournal = takeSynced } = deps;
  const nowMs = (): number => clock.nowMs();
  const nameRun = (): string => newMessageId(nowMs(), rng.fork("run"));
  return RunJournal.open({ runFolder, take: takeJournal, resume, nowMs, nameRun });
}

/** Many labels or files can outgrow a control message: that has to show before the run, not in its first round. */
function expectTaskFits(
  config: CoordinatorConfig,
  run: string,
  files: BaseFile[],
  { clock, rng }: CoordinatorDeps,
): void {
  const adapter = files[0] ?? null;
  const task = {
    kind: "train" as const,
    run,
    round: 1,
    attempt: 1,
    base: { files },
    adapter,
    deadlineMs: config.roundTimeoutMs,
  };
  const choice = { sparsity: config.pruning?.final ?? 0, rank: ranksOf(config).at(-1) ?? 1 };
  const wanted = { ...task, plan: planOf(config, 1, choice) };
  const address = { device: "d".repeat(64), epoch: 2 ** 32 - 1, round: config.rounds };
  try {
    new MessageStamp(clock, rng).encode(
      { kind: "state", wanted, heartbeatMs: config.heartbeatMs },
      address,
    );
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause;
    throw new ConfigError("the task of a round does not fit into one message", {
      cause,
      hint: "fewer or shorter labels, or fewer files in the folder of the base model",
    });
  }
}
