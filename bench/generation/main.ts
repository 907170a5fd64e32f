/**
 * Tokens per second of greedy generation with random weights of the stories models' shapes:
 *
 *   npm run bench:generation [-- --llama2c PATH]
 *
 * PATH is the program that llama2.c's run.c compiles to (gcc -O3 -o run run.c -lm); with it both engines
 * generate from the same weights in turn, and have to begin with the same tokens. One JSON line each.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { generate } from "../../src/models/generate.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { canRun } from "../steps/ours.ts";
import { generationShapes, randomLlama, writeLlama2c } from "./checkpoint.ts";

const START_ID = 1;
const TOKENS = 200;
const ROUNDS = 7;
/** Rounding differs, so that a long greedy text may part; its beginning may not. */
const COMPARED_TOKENS = 16;

const { values: args } = parseArgs({ options: { llama2c: { type: "string" } } });

/** An engine that has generated TOKENS tokens: its rate, which excludes the first token as llama2.c's does. */
interface Generator {
  readonly name: string;
  run(): Promise<{ rate: number; ids: readonly number[] }>;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] as number;

for (const shape of generationShapes) {
  const folder = mkdtempSync(join(tmpdir(), "fedspine-generation-"));
  try {
    const generators: Generator[] = (["simd", "relaxed"] as const).filter(canRun).map((kernels) => {
      const model = randomLlama(Engine.create({ kernels }), shape);
      if (kernels === "simd") writeLlama2c(join(folder, "model.bin"), model, shape);
      const options = { maxTokens: TOKENS, temperature: 0, stopIds: [] };
      return {
        name: kernels === "simd" ? "strict" : kernels,
        run() {
          const tokens = generate(model, [START_ID], options);
          const ids = [tokens.next().value as number];
          const startMs = performance.now();
          for (const id of tokens) ids.push(id);
          const rate = (1000 * (ids.length - 1)) / (performance.now() - startMs);
          return Promise.resolve({ rate, ids });
        },
      };
    });
    if (args.llama2c !== undefined)
      generators.push(native(resolve(args.llama2c), folder, shape.vocab));
    const rates = generators.map((): number[] => []);
    let expected = "";
    for (let round = -1; round < ROUNDS; round++) {
      for (const [i, generator] of generators.entries()) {
        const { rate, ids } = await generator.run();
        if (round >= 0) rates[i]?.push(rate);
        const beginning = ids.slice(0, COMPARED_TOKENS).join(" ");
        if (i === 0) expected = beginning;
        else if (beginning !== expected) {
          throw new RangeError(`${generator.name} generates ${beginning}, not ${expected}`);
        }
      }
    }
    const medians = rates.map(median);
    const peer = args.llama2c === undefined ? undefined : medians.at(-1);
    const cells = generators.map(({ name }, i) => {
      const rate = medians[i] as number;
      const ratio = peer === undefined ? null : rate / peer;
      const record = {
        name: "generation",
        shape: shape.name,
        engine: name,
        node: process.versions.node,
      };
      console.log(JSON.stringify({ ...record, tokensPerSecond: rate, ratio }));
      return `${name} ${rate.toFixed(0)} tokens/s${ratio === null ? "" : ` (${ratio.toFixed(2)}x)`}`;
    });
    console.error(`${shape.name.padEnd(6)} ${cells.join("   ")}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function native(program: string, folder: string, vocab: number): Generator {
  writeTokenizer(join(folder, "tokenizer.bin"), vocab);
  const run = promisify(execFile);
  return {
    name: "llama2.c",
    async run() {
      const flags = ["model.bin", "-t", "0", "-n", String(TOKENS)];
      const { stdout, stderr } = await run(program, flags, { cwd: folder });
      const rate = Number(/achieved tok\/s: ([\d.]+)/.exec(stderr)?.[1]);
      if (!(rate > 0)) throw new RangeError(`llama2.c printed no rate: ${stderr}`);
      return { rate, ids: stdout.trim().split(/\s+/).map(Number) };
    },
  };
}

/** llama2.c wants a vocabulary: the length of the longest word, then score, length and bytes of each; ours are the ids. */
function writeTokenizer(path: string, vocab: number): void {
  const words = Array.from({ length: vocab }, (_, id) => Buffer.from(`${id} `));
  const int32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };
  const longest = int32(Math.max(...words.map(({ length }) => length)));
  const entries = words.map((word) => Buffer.concat([int32(0), int32(word.length), word]));
  writeFileSync(path, Buffer.concat([longest, ...entries]));
}
