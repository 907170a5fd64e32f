/**
 * One LoRA step (forward, backward, AdamW) of BERT shapes, ours beside PyTorch's, interleaved in one run.
 *
 *   npm run bench:pytorch [-- words]     needs Debian's python3-torch and libopenblas0-pthread
 *
 * One thread each. A table on stderr, one JSON line per shape and engine on stdout.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { interleavedMedians, printMedians, timed, type Contender } from "../steps/contender.ts";
import { canRun, ourModel, ourWays } from "../steps/ours.ts";
import { stepShapes, type StepShape } from "../steps/shapes.ts";

const ROUNDS = 11;

/** PyTorch in a child process; the whole run ends where it is not installed. */
function pytorch(): { contender: (shape: StepShape) => Contender; close: () => void } {
  const script = fileURLToPath(new URL("../../../bench/pytorch/lora_step.py", import.meta.url));
  // /usr/bin/python3 is the one that Debian's python3-torch belongs to.
  const child = spawn("/usr/bin/python3", [script], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, OPENBLAS_NUM_THREADS: "1", OMP_NUM_THREADS: "1" },
  });
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(line));
  child.once("exit", (code) => {
    if (code !== 0 && code !== null) {
      console.error("PyTorch did not run: apt-get install python3-torch libopenblas0-pthread");
      process.exit(69);
    }
  });
  const contender = (shape: StepShape): Contender => ({
    name: "pytorch",
    async run() {
      const answer = new Promise<string>((resolve) => waiting.push(resolve));
      child.stdin.write(`${JSON.stringify(shape)}\n`);
      return (JSON.parse(await answer) as { ms: number }).ms;
    },
  });
  return { contender, close: () => child.stdin.end() };
}

const words = process.argv.slice(2);
const torch = pytorch();
for (const shape of stepShapes.filter(
  ({ name }) => words.length === 0 || words.some((word) => name.includes(word)),
)) {
  const ours = ourWays
    .filter(({ kernels }) => canRun(kernels))
    .map((way) => {
      const model = ourModel(shape, way);
      return timed(way.name, () => model.step());
    });
  const contenders = [torch.contender(shape), ...ours];
  const medians = await interleavedMedians(contenders, { rounds: ROUNDS });
  printMedians({ name: "lora-step", shape: shape.name }, contenders, medians, "pytorch");
}
torch.close();
