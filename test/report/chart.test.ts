/** What every drawn chart keeps: the page's colours, no scripts, equal text for equal data. */
import assert from "node:assert/strict";
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { openCharts } from "../../src/report/chart.ts";
import type { Plot } from "../../src/report/plot.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const draw = await openCharts();
const size = { widthPx: 400, heightPx: 240 };

const plots: readonly Plot[] = [
  {
    kind: "lines",
    title: "Lines & <more>",
    x: { name: "round", isWhole: true },
    y: { name: "accuracy", min: 0, text: (value) => `${100 * value} %` },
    lines: [
      {
        ...{ name: "mean", tone: "series-1" },
        ...{
          points: [
            [0, 0.1],
            [1, null],
            [2, 0.5],
          ],
          spread: [
            [0, 0, 0.2],
            [2, 0.4, 0.6],
          ],
        },
      },
      {
        name: "worst",
        tone: "series-2",
        points: [
          [0, 0.1],
          [2, 0.3],
        ],
        isDashed: true,
      },
    ],
  },
  {
    kind: "bars",
    title: "Bars",
    x: { name: "round", categories: ["1", "2"] },
    y: { name: "seconds" },
    stacks: [
      { name: "training", tone: "series-1", values: [1, 2] },
      { name: "waiting", tone: "grid", values: [3, null] },
    ],
  },
  {
    kind: "heat",
    title: "Heat",
    x: { name: "round", categories: ["1", "2"] },
    y: { name: "device", categories: ["v1.2345", "<gw-2>"] },
    classes: [
      { label: "rank 2", tone: "green-0" },
      { label: "rank 4", tone: "green-6" },
    ],
    cells: [
      [0, 0, 0],
      [1, 1, 1],
    ],
  },
];

for (const plot of plots) {
  test(`${plot.kind} take all their colours from the page and carry no script or style`, () => {
    const svg = draw(plot, size);
    assert.match(svg, /^<svg role="img" aria-label="/);
    assert.match(svg, /var\(--muted\)/);
    const colors = [...svg.matchAll(/(?:fill|stroke)="([^"]*)"/g)].map(([, color]) => color);
    assert.deepEqual(
      colors.filter((color = "") => !/^(none|var\(--[a-z]+(-\d)?\))$/.test(color)),
      [],
    );
    assert.doesNotMatch(svg, /<style|<script|class=|href|#[0-9a-f]{3,}/);
  });

  test(`${plot.kind} with equal data are equal text`, () => {
    assert.equal(draw(plot, size), draw(plot, size));
  });
}

test("names and titles are text in the picture", () => {
  assert.match(draw(plots[2]!, size), />&lt;gw-2&gt;</);
  assert.match(draw(plots[2]!, size), />v1\.2345</);
  assert.match(draw(plots[0]!, size), /aria-label="Lines more"/);
});

test("each class of a table of cells has its colour once per cell and once in the legend", () => {
  assert.equal(draw(plots[2]!, size).match(/var\(--green-6\)/g)?.length, 2);
});

test("without the chart library the error says what to install", async (t) => {
  const folder = temporaryFolder(t);
  const built = fileURLToPath(new URL("../../src/", import.meta.url));
  // No node_modules lies above this copy.
  for (const ring of ["base", "report"]) {
    cpSync(join(built, ring), join(folder, ring), { recursive: true });
  }
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  const path = pathToFileURL(join(folder, "report", "chart.js")).href;
  const copy = (await import(path)) as { openCharts: () => Promise<unknown> };
  await assert.rejects(copy.openCharts(), /echarts, which is not installed[\s\S]*npm install/);
});
