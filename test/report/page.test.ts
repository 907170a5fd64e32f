/** The page as a whole: complete in itself, safe, and there for runs in every state. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openCharts } from "../../src/report/chart.ts";
import { reportPage } from "../../src/report/page.ts";
import { parseEvents, type RunRecord } from "../../src/report/run-record.ts";
import { logText, runLog, type LogLine } from "../support/run-log.ts";

const draw = await openCharts();
const options = { devices: ["gw-1", "gw-2", "gw-3"], rounds: 5, perRound: 3 };

function page(lines: readonly LogLine[], more: Partial<RunRecord> = {}): string {
  const { events, unreadableLines } = parseEvents(logText(lines));
  const record = { name: "run", events, unreadableLines, config: {}, summary: null, ...more };
  return reportPage(record, draw);
}

function headings(text: string): string[] {
  return [...text.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, heading = ""]) => heading);
}

test("a pruned run shows everything that it has, from itself alone", () => {
  const text = page(runLog(options), {
    config: { plan: { rank: 8, targets: ["query", "value"] } },
  });
  assert.deepEqual(headings(text), [
    ...["Accuracy by round", "Accuracy over time", "Sparsity by round", "Discarded energy"],
    ...["Sparsity by device and round", "LoRA rank by device and round"],
    "Step time and memory by round",
    ...["Time of a device per round", "Traffic of a device per round"],
    ...["Devices", "Dropped messages and failures", "Settings"],
  ]);
  assert.match(text, /Finished: 5 of 5 rounds/);
  assert.match(text, /plan\.targets<\/td><td class="name">query, value</);
  assert.match(text, /Nothing was dropped/);
  assert.doesNotMatch(
    text,
    /<script|https?:\/\/(?!www\.w3\.org\/2000\/svg)|src=|@import|url\((?!#)/,
  );
});

test("clip paths of different charts have different names", () => {
  const ids = [...page(runLog(options)).matchAll(/<clipPath id="([^"]*)"/g)].map(([, id]) => id);
  assert.equal(new Set(ids).size, ids.length);
});

test("names from the network are text, never markup", () => {
  const bad = `<script>alert("x")</script>`;
  const lines = runLog({ ...options, devices: [bad, "gw-2", "gw-3"] });
  const at = lines[0]?.at ?? 0;
  const detail = `<img src=x onerror="x">`;
  lines.push({ at, kind: "message-dropped", device: bad, reason: "unreadable", detail });
  const text = page(lines, { config: { fleet: bad, [bad]: bad } });
  assert.doesNotMatch(text, /<script|<img/);
  assert.match(text, /&#60;script&#62;/);
});

test("a run without pruning has no charts of it", () => {
  const plain = runLog(options).map((line) =>
    line.kind === "update-received" ? { ...line, sparsity: 0, rank: 8 } : line,
  );
  assert.deepEqual(
    headings(page(plain)).filter((heading) => /Sparsity|rank/.test(heading)),
    [],
  );
});

test("a run that was broken off shows what there is and says so", () => {
  const lines = runLog(options);
  const inRound = lines.findIndex(({ kind }) => kind === "update-received") + 1;
  const text = page(lines.slice(0, inRound), { unreadableLines: 1 });
  assert.match(text, /Not finished: 0 of 5 rounds/);
  assert.match(text, /lines of events\.jsonl that cannot be read/);
  assert.match(page(lines.slice(0, 1)), /Not finished: 0 of 5 rounds in 0 ms so far/);
});

test("what was dropped is counted by reason: as logged, or as the summary has it", () => {
  const lines = runLog(options);
  const at = lines[0]?.at ?? 0;
  const late = { at, kind: "update-dropped", device: "gw-2", reason: "late", detail: "" } as const;
  lines.push({ ...late, round: 2 }, { ...late, round: 3 });
  lines.push({ at, kind: "device-failed", round: 2, device: "gw-3", reason: "no memory" });
  lines.push(
    ...(["silent", "said-bye"] as const).map((reason) => ({
      ...{ at, kind: "device-left" as const, device: "gw-1", reason },
    })),
  );
  const row = (what: string, count: number): RegExp =>
    new RegExp(`<td class="name">${what}</td><td class="number">${count}</td>`);
  const logged = page(lines);
  assert.match(logged, row("update-late", 2));
  assert.match(logged, row("device failed", 1));
  assert.match(logged, row("device left, silent", 1));
  assert.doesNotMatch(logged, /said-bye/);
  const summary = { dropped: { "update-late": 40 }, devices: [] };
  assert.match(page(lines, { summary }), row("update-late", 40));
});

test("the worst device stands beside the mean once devices are scored by themselves", () => {
  assert.match(page(runLog(options)), />worst device</);
  const whole = runLog(options).map((line) => {
    if (line.kind !== "evaluated") return line;
    const { worst: _worst, ...rest } = line;
    return rest;
  });
  assert.doesNotMatch(page(whole), />worst device</);
});
