/** The tables of the page: devices, rounds, what was dropped, settings. */
import { byteText, durationText, percent } from "../base/quantity-text.ts";
import { deviceFacts, type DeviceFacts } from "./devices.ts";
import { html, type Markup } from "./markup.ts";
import { meanOf, type RoundFacts, type RunFacts } from "./rounds.ts";
import type { LoggedEvent, RunRecord } from "./run-record.ts";
import { tableOf } from "./table.ts";

export function deviceSection(record: RunRecord, facts: RunFacts): Markup {
  const devices = deviceFacts(record, facts);
  if (devices.length === 0) return html``;
  const isPruned = devices.some(({ sparsity }) => sparsity !== null && sparsity > 0);
  const table = tableOf<DeviceFacts>(
    "Devices",
    [
      { name: "device", cell: ({ id }) => id, isText: true },
      { name: "type", cell: ({ type }) => type, isText: true },
      { name: "rounds", cell: ({ rounds, asked }) => `${rounds} of ${asked}` },
      { name: "examples", cell: ({ numSamples }) => String(numSamples) },
      {
        name: "sparsity",
        cell: ({ sparsity }) => (isPruned && sparsity !== null ? percent(sparsity) : ""),
      },
      { name: "rank", cell: ({ rank }) => (rank === null ? "" : String(rank)) },
      { name: "step", cell: ({ stepMs }) => (stepMs === null ? "" : durationText(stepMs)) },
      { name: "training", cell: ({ trainMs }) => durationText(trainMs) },
      { name: "download", cell: ({ downloadMs }) => durationText(downloadMs) },
      { name: "upload", cell: ({ uploadMs }) => durationText(uploadMs) },
      { name: "waiting", cell: ({ waitingMs }) => durationText(waitingMs) },
      { name: "up", cell: ({ bytesUp }) => byteText(bytesUp) },
      { name: "down", cell: ({ bytesDown }) => (bytesDown === null ? "" : byteText(bytesDown)) },
      { name: "engine", cell: ({ peakBytes }) => byteText(peakBytes) },
      { name: "process", cell: ({ residentBytes }) => byteText(residentBytes) },
    ],
    devices,
  );
  return html`<section>
    <h2>Devices</h2>
    <p class="caption">
      Sums over the run; sparsity and rank are those of the last update, memory is the most that was
      used.
    </p>
    ${table}
  </section> `;
}

/** The figures behind the charts, for those who want numbers or hear the page read out. */
export function roundSection(facts: RunFacts): Markup {
  if (facts.rounds.length === 0) return html``;
  const scores = new Map(facts.scores.map((score) => [score.round, score]));
  const orNothing = (value: number | null, text: (value: number) => string): string =>
    value === null ? "" : text(value);
  const table = tableOf<RoundFacts>(
    "Rounds",
    [
      { name: "round", cell: ({ round }) => String(round) },
      { name: "attempts", cell: ({ attempts }) => String(attempts) },
      { name: "updates", cell: ({ updates, asked }) => `${updates.length} of ${asked.length}` },
      {
        name: "accuracy",
        cell: ({ round }) => orNothing(scores.get(round)?.accuracy ?? null, percent),
      },
      {
        name: "worst device",
        cell: ({ round }) => orNothing(scores.get(round)?.worst?.accuracy ?? null, percent),
      },
      {
        name: "loss",
        cell: ({ round }) => orNothing(scores.get(round)?.loss ?? null, (loss) => loss.toFixed(3)),
      },
      {
        name: "sparsity",
        cell: ({ updates }) =>
          orNothing(
            meanOf(updates, ({ sparsity }) => sparsity),
            percent,
          ),
      },
      {
        name: "slowest device",
        cell: ({ updates }) =>
          updates.length === 0
            ? ""
            : durationText(Math.max(...updates.map(({ completionMs }) => completionMs))),
      },
      {
        name: "mean waiting",
        cell: ({ updates }) =>
          orNothing(
            meanOf(updates, ({ waitingMs }) => waitingMs),
            durationText,
          ),
      },
      {
        name: "discarded energy",
        cell: ({ discardedEnergy }) => orNothing(discardedEnergy, percent),
      },
      {
        name: "mean staleness",
        cell: ({ meanStaleness }) => (meanStaleness > 0 ? meanStaleness.toFixed(1) : ""),
      },
    ],
    facts.rounds,
  );
  return html`<details>
    <summary>Every round in numbers</summary>
    ${table}
  </details> `;
}

interface Drop {
  readonly what: string;
  readonly count: number;
  readonly example: string;
}

export function dropSection({ events, summary, unreadableLines }: RunRecord): Markup {
  const drops = dropsOf(events, summary?.dropped ?? null);
  if (unreadableLines > 0) {
    drops.push({
      what: "lines of events.jsonl that cannot be read",
      count: unreadableLines,
      example: "",
    });
  }
  const table =
    drops.length === 0
      ? html`<p>Nothing was dropped, and no device failed.</p> `
      : tableOf<Drop>(
          "Dropped",
          [
            { name: "reason", cell: ({ what }) => what, isText: true },
            { name: "times", cell: ({ count }) => String(count) },
            { name: "first seen", cell: ({ example }) => example, isText: true },
          ],
          drops,
        );
  const caption =
    summary === null
      ? html`<p class="caption">
          As far as the events tell: without a summary, repeats of a refused message are not
          counted.
        </p> `
      : html``;
  return html`<section>
    <h2>Dropped messages and failures</h2>
    ${caption}${table}
  </section> `;
}

/** Counts by reason: the summary's where there is one, else what was logged; an example from the log either way. */
function dropsOf(
  events: readonly LoggedEvent[],
  dropped: Readonly<Record<string, number>> | null,
): Drop[] {
  const logged = new Map<string, Drop>();
  const add = (what: string, example: string): void => {
    const before = logged.get(what);
    const { count, example: first } = before ?? { count: 0, example };
    logged.set(what, { what, count: count + 1, example: first });
  };
  for (const event of events) {
    if (event.kind === "message-dropped") {
      add(event.reason, `${event.device ?? "unknown sender"}: ${event.detail}`);
    } else if (event.kind === "update-dropped") {
      add(`update-${event.reason}`, `${event.device}, round ${event.round}`);
    } else if (event.kind === "device-failed") {
      add("device failed", `${event.device}, round ${event.round}: ${event.reason}`);
    } else if (event.kind === "device-excluded") {
      const { neededBytes, availableBytes } = event;
      const why = `needs ${byteText(neededBytes)}, has ${byteText(availableBytes)}`;
      add("device excluded for its memory", `${event.device}, round ${event.round}: ${why}`);
    } else if (event.kind === "device-left") {
      if (event.reason !== "said-bye") add(`device left, ${event.reason}`, event.device);
    }
  }
  for (const [what, count] of Object.entries(dropped ?? {})) {
    logged.set(what, { what, count, example: logged.get(what)?.example ?? "" });
  }
  return [...logged.values()].sort((a, b) => b.count - a.count);
}

export function settingsSection({ config }: RunRecord): Markup {
  const rows = flattened(config);
  if (rows.length === 0) return html``;
  return html`<section>
    <h2>Settings</h2>
    ${tableOf<readonly [string, string]>(
      "Settings",
      [
        { name: "setting", cell: ([key]) => key, isText: true },
        { name: "value", cell: ([, value]) => value, isText: true },
      ],
      rows,
    )}
  </section> `;
}

/** `plan.rank` and so on; lists in one cell. */
function flattened(value: Readonly<Record<string, unknown>>, prefix = ""): [string, string][] {
  return Object.entries(value).flatMap(([key, inner]): [string, string][] => {
    const path = `${prefix}${key}`;
    if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) {
      return flattened({ ...inner }, `${path}.`);
    }
    return [[path, settingText(inner)]];
  });
}

function settingText(value: unknown): string {
  if (!Array.isArray(value)) return typeof value === "string" ? value : JSON.stringify(value);
  const texts = value.map(settingText);
  const shown = texts.slice(0, 12).join(", ");
  return texts.length > 12 ? `${shown} and ${texts.length - 12} more` : shown;
}
