/** The command line as a whole: help, exit statuses, and messages that name what was wrong. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ExitCode } from "../../src/base/errors.ts";
import { fedspine } from "../support/command.ts";
import { fixture } from "../support/fixtures.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { copyTinyModel, tinyFolder } from "../support/tiny-model.ts";

/** Every command with an option that only its own help can know. */
const commands: Readonly<Record<string, string>> = {
  demo: "--devices",
  train: "--rank",
  eval: "--part",
  classify: "[text...]",
  generate: "--temperature",
  forward: "--ids",
  merge: "--dtype",
  export: "--form",
  verify: "--seed",
  pretrain: "--objective",
  simulate: "--workers",
  broker: "--ws-port",
  coordinator: "--test",
  device: "--log-json",
  fleet: "--host",
  enroll: "--preauthorised",
  devices: "<action>",
  why: "<device>",
  report: "<folder>",
  plan: "--measure",
  bench: "--profile",
  doctor: "--json",
};

test("help lists every command, and each command explains its own options", async () => {
  const { status, stdout } = await fedspine(["--help"]);
  assert.equal(status, ExitCode.ok);
  const listed = [...stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name);
  assert.deepEqual(listed, Object.keys(commands));
  await Promise.all(
    Object.entries(commands).map(async ([name, option]) => {
      const help = await fedspine([name, "--help"]);
      assert.equal(help.status, ExitCode.ok, `${name}: ${help.stderr}`);
      assert.match(help.stdout, new RegExp(`^Usage: fedspine ${name} `));
      assert.ok(help.stdout.includes(option), `${name} --help lacks ${option}`);
    }),
  );
});

test("help <command> is that command's help, and the version is the package's", async () => {
  const [asked, own, version] = await Promise.all([
    fedspine(["help", "merge"]),
    fedspine(["merge", "--help"]),
    fedspine(["--version"]),
  ]);
  assert.equal(asked.stdout, own.stdout);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

const usage: [what: string, args: string[], message: RegExp][] = [
  ["no command", [], /Usage: fedspine/],
  ["an unknown command", ["trian"], /unknown command 'trian'[\s\S]*train/],
  ["an unknown option", ["doctor", "--jason"], /unknown option '--jason'[\s\S]*--json/],
  ["a missing required option", ["forward", "--ids", "1"], /required option '--model <dir>'/],
  ["a value of the wrong kind", ["train", "--rank", "many"], /whole number from 1, got many/],
  ["an empty number", ["train", "--rank", ""], /expected a whole number from 1/],
  ["an infinite number", ["train", "--lr", "Infinity"], /expected a number from 0, got Infinity/],
  ["a choice that is none", ["train", "--schedule", "square"], /Allowed choices are constant/],
  ["a value that is neither on nor off", ["train", "--shuffle", "yes"], /on or off, got yes/],
  ["input that is missing", ["forward", "--model", tinyFolder("bert-classify")], /--ids or --text/],
];
for (const [what, args, message] of usage) {
  test(`${what} is a usage error`, async () => {
    const { status, stdout, stderr } = await fedspine(args);
    assert.equal(status, ExitCode.usage, stderr);
    assert.match(stderr, message);
    assert.equal(stdout, "");
  });
}

const model = tinyFolder("bert-classify");
const data: [what: string, args: string[], message: RegExp][] = [
  [
    "a missing model",
    ["forward", "--model", "no/such", "--ids", "1"],
    /no model folder at no\/such/,
  ],
  ["missing training data", ["train", "--model", model, "--data", "gone.csv"], /gone\.csv/],
  [
    "missing text for a language model",
    ["train", "--model", tinyFolder("llama-tied"), "--task", "lm", "--data", "gone.jsonl"],
    /cannot read gone\.jsonl/,
  ],
  [
    "missing data to score",
    ["eval", "--model", tinyFolder("llama-tied"), "--task", "lm", "--data", "gone.txt"],
    /cannot read gone\.txt/,
  ],
  ["a missing adapter", ["classify", "--model", model, "--adapter", "gone", "hot"], /gone/],
  [
    "a folder that cannot be made",
    ["pretrain", "--data", "x", "--out", "/dev/null/x"],
    /dev\/null\/x/,
  ],
  ["a model without a tokenizer", ["classify", "--model", model, "hot"], /tokenizer\.json/],
  [
    "an id beyond the vocabulary",
    ["forward", "--model", model, "--ids", "1,40"],
    /0 to 39, got 40/,
  ],
  [
    "an adapter of another base",
    [
      ...["forward", "--model", fixture("peft-bert", "base"), "--ids", "1"],
      ...["--adapter", join(model, "adapter")],
    ],
    /expected \[3, 8\], got \[3, 16\]/,
  ],
  ["a model for another purpose", ["generate", "--model", model], /bert cannot causal-lm/],
];
for (const [what, args, message] of data) {
  test(`${what} is a data error that names it`, async () => {
    const { status, stdout, stderr } = await fedspine(args);
    assert.equal(status, ExitCode.data, stderr);
    assert.match(stderr, /^fedspine: /);
    assert.match(stderr, message);
    assert.equal(stdout, "");
  });
}

test("options that would do nothing are refused", async (context) => {
  const folder = temporaryFolder(context);
  copyTinyModel("bert-classify", folder, { tokenizer: "encoder" });
  const path = join(folder, "data.csv");
  writeFileSync(path, "text,label\nthe pump is hot,hot\nthe fan is cold,cold\nwet room,wet\n");
  const init = ["--init-adapter", join(model, "adapter")];
  const refusals: [args: string[], message: RegExp][] = [
    [["--resume"], /--resume: expected --out/],
    [["--checkpoint-every", "1"], /--checkpoint-every: expected --out/],
    [["--eval-every", "1"], /--eval-every: expected held-out examples/],
    [["--patience", "2"], /--patience: expected --eval-every/],
    [["--rank", "3", "--alpha", "3", ...init], /expected --rank 3 --alpha 6, got .* --alpha 3/],
  ];
  await Promise.all(
    refusals.map(async ([args, message]) => {
      const given = ["train", "--model", folder, "--data", path, "--steps", "1", ...args];
      const { status, stderr } = await fedspine(given);
      assert.equal(status, ExitCode.usage, stderr);
      assert.match(stderr, message);
    }),
  );
});

test("doctor finds the kernels of this machine right", async () => {
  const { status, stdout } = await fedspine(["doctor", "--json"]);
  assert.equal(status, ExitCode.ok);
  const report = JSON.parse(stdout) as {
    ok: boolean;
    modules: { module: string; runs: boolean; kernels: number }[];
  };
  assert.equal(report.ok, true);
  const [alone, , threaded] = report.modules;
  assert.match(threaded?.module ?? "", /^simd on \d threads$/);
  assert.deepEqual([threaded?.runs, threaded?.kernels], [true, alone?.kernels]);
});
