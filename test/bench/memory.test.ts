/** The forecast for a whole process against a real one, on the smallest model of the memory bench. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SCRIPT = fileURLToPath(new URL("../../bench/memory/main.js", import.meta.url));
const isLinux = process.platform === "linux";

test(
  "a device's process takes what was forecast for it, within a tenth",
  { skip: isLinux ? false : "resident memory is read from /proc" },
  () => {
    const args = ["--shapes", "tiny", "--base-dtype", "int8", "--recompute", "--steps", "2"];
    const { stdout, stderr } = spawnSync(process.execPath, [SCRIPT, ...args], { encoding: "utf8" });
    assert.notEqual(stdout, "", stderr);
    const { forecastBytes, peakRssBytes } = JSON.parse(stdout) as Record<string, number>;
    const ratio = (forecastBytes ?? 0) / (peakRssBytes ?? 1);
    assert.ok(ratio > 0.9 && ratio < 1.1, `forecast ${forecastBytes}, measured ${peakRssBytes}`);
  },
);
