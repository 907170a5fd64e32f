/** The report of a run: one HTML page that needs nothing but itself. */
import { byteText, durationText, percent } from "../base/quantity-text.ts";
import type { DrawPlot } from "./chart.ts";
import { deviceFacts } from "./devices.ts";
import { figuresOf, type Figure } from "./figures.ts";
import { html, Markup } from "./markup.ts";
import { runFacts, type RunFacts } from "./rounds.ts";
import type { RunRecord } from "./run-record.ts";
import { deviceSection, dropSection, roundSection, settingsSection } from "./sections.ts";
import { styleSheet } from "./style.ts";

/** The page as HTML text: no script, no address, light and dark. */
export function reportPage(record: RunRecord, draw: DrawPlot): string {
  const facts = runFacts(record.events);
  const title = facts.fleet === "" ? record.name : facts.fleet;
  const figures = figuresOf(facts);
  const isOdd = figures.length % 2 === 1;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} - fedspine run</title>
        <style>
          ${new Markup(styleSheet())}
        </style>
      </head>
      <body>
        <main>
          <header>
            <p class="kicker">fedspine run</p>
            <h1>${title}</h1>
            <p class="state">${stateText(facts)}</p>
          </header>
          ${keyFigures(record, facts)}
          <div class="figures">
            ${figures.map((figure, i) => figureOf(figure, isOdd && i === figures.length - 1, draw))}
          </div>
          ${roundSection(facts)} ${deviceSection(record, facts)} ${dropSection(record)}
          ${settingsSection(record)}
        </main>
      </body>
    </html> `;
  return page.text;
}

function stateText({ end, rounds, numRounds, durationMs, restarts }: RunFacts): string {
  const numDone = rounds.filter(({ endMs }) => endMs !== null).length;
  const progress = `${numDone} of ${numRounds} rounds in ${durationText(durationMs)}`;
  const again =
    restarts === 0 ? "" : `, restarted ${restarts === 1 ? "once" : `${restarts} times`}`;
  if (end === null) return `Not finished: ${progress} so far${again}.`;
  return end.ok ? `Finished: ${progress}${again}.` : `Failed: ${end.reason}; ${progress}${again}.`;
}

interface KeyFigure {
  readonly name: string;
  readonly value: string;
  readonly note: string;
}

function keyFigures(record: RunRecord, facts: RunFacts): Markup {
  const first = facts.scores[0];
  const last = facts.scores.at(-1);
  const devices = deviceFacts(record, facts);
  const updates = facts.rounds.flatMap((round) => round.updates);
  const pruned = devices.flatMap(({ sparsity }) => (sparsity === null ? [] : [sparsity]));
  const up = devices.reduce((sum, { bytesUp }) => sum + bytesUp, 0);
  const waitingMs = updates.reduce((sum, update) => sum + update.waitingMs, 0);
  const busyMs = updates.reduce((sum, update) => sum + update.completionMs, 0);
  const figures: (KeyFigure | null)[] = [
    last === undefined
      ? null
      : {
          name: "accuracy",
          value: percent(last.accuracy),
          note:
            first === last ? "before training" : `${percent(first?.accuracy ?? 0)} at the start`,
        },
    {
      name: "devices",
      value: String(devices.length),
      note: `${updates.length} updates used`,
    },
    pruned.some((value) => value > 0)
      ? {
          name: "sparsity",
          value: percent(pruned.reduce((sum, value) => sum + value, 0) / pruned.length),
          note: `${percent(Math.min(...pruned))} to ${percent(Math.max(...pruned))}`,
        }
      : null,
    { name: "sent by devices", value: byteText(up), note: "in all" },
    busyMs > 0
      ? {
          name: "waiting",
          value: percent(waitingMs / (waitingMs + busyMs)),
          note: "of the devices' time",
        }
      : null,
  ];
  return html`<dl class="key">
    ${figures.map((figure) =>
      figure === null
        ? null
        : html`<div>
            <dt>${figure.name}</dt>
            <dd>${figure.value}</dd>
            <dd class="note">${figure.note}</dd>
          </div> `,
    )}
  </dl> `;
}

/** Height of a chart, and of a row in a table of coloured cells: the more devices, the lower. */
const CHART_PX = 260;
const ROW_PX = 18;
const LOW_ROW_PX = 9;

/** Each chart twice, since text in a scaled picture would not stay readable on a narrow page. */
function figureOf(
  { heading, caption, plot, rows = 0 }: Figure,
  isAlone: boolean,
  draw: DrawPlot,
): Markup {
  const heightPx = Math.max(CHART_PX, rows * (rows > 20 ? LOW_ROW_PX : ROW_PX) + 80);
  const wide = new Markup(draw(plot, { widthPx: isAlone ? 1040 : 500, heightPx }));
  const narrow = new Markup(draw(plot, { widthPx: 340, heightPx }));
  return html`<figure${isAlone ? new Markup(' class="alone"') : null}>
<h2>${heading}</h2>
<div class="wide">${wide}</div>
<div class="narrow">${narrow}</div>
<figcaption>${caption}</figcaption>
</figure>
`;
}
