/**
 * Times our engine beside others in JavaScript, interleaved in one process:
 *
 *   npm run bench:peers                        all three
 *   npm run bench:peers -- product             square matrix products
 *   npm run bench:peers -- step [shape ...]    a LoRA step in the engines that can train
 *   npm run bench:peers -- inference           a forward pass of BERT-small
 *
 * Tables on stderr, one JSON line per figure on stdout.
 */
const tasks = {
  product: async () => (await import("./product.mjs")).products(),
  step: async (words) => (await import("./step.mjs")).steps(words),
  inference: async () => (await import("./inference.mjs")).inference(),
};

const [task, ...words] = process.argv.slice(2);
if (task !== undefined && !(task in tasks)) {
  console.error(`bench:peers: unknown task "${task}"; there are ${Object.keys(tasks).join(", ")}`);
  process.exit(2);
}
for (const name of task === undefined ? Object.keys(tasks) : [task]) await tasks[name](words);
