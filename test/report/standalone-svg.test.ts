/** Charts as image files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openCharts } from "../../src/report/chart.ts";
import { standaloneSvg } from "../../src/report/standalone-svg.ts";

test("a chart in a file of its own has every colour that it names, a ground and a margin", async () => {
  const svg = standaloneSvg(
    await openCharts(),
    {
      ...{ kind: "lines", title: "Accuracy", x: { name: "round" }, y: { name: "share" } },
      lines: [
        {
          name: "mean",
          tone: "series-1",
          points: [
            [0, 0.1],
            [1, 0.5],
          ],
        },
      ],
    },
    { widthPx: 300, heightPx: 200 },
  );
  assert.match(svg, /^<svg [^>]*width="332" height="232"/);
  assert.match(svg, /<rect width="332" height="232" fill="var\(--ground\)"\/>/);
  const [light = "", dark = ""] = svg.split("@media (prefers-color-scheme:dark)");
  const used = new Set([...svg.matchAll(/var\((--[\w-]+)\)/g)].map(([, name = ""]) => name));
  assert.ok(used.size > 3);
  for (const name of used) {
    assert.ok(light.includes(`${name}:#`), `${name} in light`);
    assert.ok(dark.includes(`${name}:#`), `${name} in dark`);
  }
});
