/**
 * One LoRA step (forward, backward, AdamW) of BERT shapes on one thread and on several, interleaved.
 *
 *   npm run bench:threads [-- words] [-- --threads 1,2,4]     words: parts of a shape's name
 *
 * A table on stderr, one JSON line per shape, module and number of threads on stdout; `ratio` is the time
 * over that of the first number.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { interleavedMedians, printMedians, timed } from "../steps/contender.ts";
import { canRun, ourModel } from "../steps/ours.ts";
import { stepShapes } from "../steps/shapes.ts";

const ROUNDS = 11;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: "string", default: `1,${Math.min(2, availableParallelism())}` } },
});
const counts = values.threads.split(",").map(Number);
const words = positionals.length > 0 ? positionals : ["bert-tiny", "bert-small"];
for (const shape of stepShapes.filter(({ name }) => words.some((word) => name.includes(word)))) {
  for (const kernels of (["simd", "relaxed"] as const).filter(canRun)) {
    const models = counts.map((threads) => ourModel(shape, { kernels, threads }));
    const contenders = models.map((model) =>
      timed(`${model.engine.threads} on ${kernels}`, () => model.step()),
    );
    const medians = await interleavedMedians(contenders, { rounds: ROUNDS });
    const [first] = contenders;
    printMedians(
      { name: "lora-step-threads", shape: shape.name },
      contenders,
      medians,
      first?.name ?? "",
    );
    models.forEach(({ engine }) => engine.dispose());
  }
}
