/** Times square matrix products here and in other WebAssembly engines, interleaved in one process. */
import { loadEngines } from "./engines.mjs";

const sizes = [192, 480, 960];
const rounds = 25;
/** Long enough that a call's own cost and the clock do not show. */
const minimumRoundMs = 15;

function seeded(count, seed) {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

const quantile = (sorted, share) => sorted[Math.round(share * (sorted.length - 1))];

/** Processor time of this process, which other work on the machine disturbs less than the clock. */
async function timeMs(run, repeats) {
  const start = process.cpuUsage();
  for (let i = 0; i < repeats; i++) await run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e3 / repeats;
}

/** Fails loudly when an engine computes something else: its time would mean nothing. */
function checkAgreement(name, got, want, size, tolerance = 1e-4) {
  const worst = want.reduce((max, value, i) => Math.max(max, Math.abs(value - got[i])), 0);
  if (!(worst < tolerance * Math.sqrt(size))) throw new RangeError(`${name} is off by ${worst}`);
}

/** One line per engine; JSON per engine and size on stdout. */
export async function products() {
  const engines = await loadEngines();
  console.error("engine".padEnd(20), ...sizes.map((size) => `${size}`.padStart(24)));
  const lines = engines.map((engine) => engine.name.padEnd(20));
  for (const size of sizes) {
    const a = seeded(size * size, 1);
    const b = seeded(size * size, 2);
    const contenders = [];
    for (const engine of engines) {
      const prepared = await engine.prepare(size, a, b);
      await prepared.run();
      const { name, tolerance } = engine;
      contenders.push({ name, tolerance, ...prepared, times: [], repeats: 1 });
    }
    const want = contenders[0].result();
    for (const contender of contenders) {
      checkAgreement(contender.name, contender.result(), want, size, contender.tolerance);
      const warmUpMs = await timeMs(contender.run, 5);
      contender.repeats = Math.max(1, Math.ceil(minimumRoundMs / warmUpMs));
      await timeMs(contender.run, contender.repeats * 2);
    }
    for (let round = 0; round < rounds; round++) {
      for (const contender of contenders) {
        contender.times.push(await timeMs(contender.run, contender.repeats));
      }
    }
    const gflop = (2 * size ** 3) / 1e9;
    const rows = contenders.map(({ name, times }) => {
      times.sort((x, y) => x - y);
      const rate = (share) => gflop / (quantile(times, share) / 1e3);
      return { name, median: rate(0.5), p10: rate(0.9), p90: rate(0.1) };
    });
    const peer = rows.find((row) => row.name === "onnxruntime-web");
    rows.forEach(({ name, median, p10, p90 }, i) => {
      const ratio = median / peer.median;
      lines[i] += `${median.toFixed(1)} GFLOP/s (x${ratio.toFixed(2)})`.padStart(25);
      const shape = `${size}x${size}x${size}`;
      const result = { name: "matmul", shape, target: name, node: process.versions.node };
      console.log(JSON.stringify({ ...result, unit: "gflops", median, p10, p90, ratio }));
    });
  }
  for (const line of lines) console.error(line);
  console.error("ratios are to onnxruntime-web in the same run");
}
