/** Published models against float64 references made from their own weights by other code. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { linear } from "../../src/autograd/ops/linear.ts";
import { Tape } from "../../src/autograd/tape.ts";
import { packBatch } from "../../src/data/batch.ts";
import { generate } from "../../src/models/generate.ts";
import { loadModel } from "../../src/models/load.ts";
import type { Model } from "../../src/models/model.ts";
import { Engine } from "../../src/tensor/engine.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { assertAllClose, largest, norm } from "../support/all-close.ts";
import { lossAndGradients } from "../support/gradients.ts";
import { runnableVariants } from "../support/kernel-suite.ts";
import { missing, sharedData } from "../support/shared-data.ts";

const TOLERANCE = 1e-4;
const bertFolder = join(sharedData, "bert-tiny-sst2-encoder", "fixture-vocab48");
const llamaFolder = join(sharedData, "llama-stories260K");
const noBert = missing("bert-tiny-sst2-encoder/fixture-vocab48/reference.json");
const noLlama = missing("llama-stories260K/reference.json", "llama-stories260K/reference_grad.json");

interface BertReference {
  cases: {
    input_ids: number[];
    logits: number[];
    cross_entropy_label1: number;
    pooled: number[];
    embedding_output: number[][];
    hidden_layer1: number[][];
    hidden_layer2: number[][];
  }[];
  gradient: {
    case: number;
    label: number;
    loss: number;
    l2_norm: Record<string, number>;
    first8: Record<string, number[]>;
    sum: Record<string, number>;
  };
}

interface LlamaReference {
  greedy_ids_from_BOS: number[];
  greedy_text: string;
  cases: {
    input_ids: number[];
    mean_next_token_nll: number;
    logits_last: number[];
    logits: number[][] | null;
    final_hidden_after_norm: number[][] | null;
    hidden_after_layer_last_pos: number[][];
  }[];
}

interface LlamaGradients {
  cases: {
    input_ids: number[];
    loss: number;
    grad_l2: Record<string, number>;
    grad_first8: Record<string, number[]>;
  }[];
}

function readJson(folder: string, file: string): unknown {
  return JSON.parse(readFileSync(join(folder, file), "utf8"));
}

/** Everything a forward pass shows: the captured hidden states, the pooled vector, the logits. */
function classify(model: Model, ids: number[]) {
  return model.engine.step(() => {
    const tape = new Tape(model.engine, { recording: false });
    const batch = packBatch([{ ids }]);
    const hidden: Float32Array[] = [];
    model.body.forward(tape, batch, (state) => hidden.push(state.toHost()));
    let pooled: Float32Array = new Float32Array(0);
    const classifier = model.headModules().at(-1);
    assert.ok(classifier);
    // The classifier's input is the pooled vector: an adapter that only looks can see it.
    classifier.adapter = {
      perOutput: [],
      perInput: [],
      forward(t, x, weight, bias) {
        pooled = x.toHost();
        return linear(t, x, weight, bias);
      },
    };
    const logits = model.classLogits(tape, batch).toHost();
    classifier.adapter = null;
    return { hidden, pooled, logits };
  });
}

function assertGradients(
  gradients: ReadonlyMap<string, Float32Array>,
  wanted: { l2: Record<string, number>; first8: Record<string, number[]> },
): void {
  // What is far smaller than the model's largest gradient is left over from cancelling.
  const floor = largest(Object.values(wanted.l2)) / 20;
  for (const [name, l2] of Object.entries(wanted.l2)) {
    const gradient = gradients.get(name);
    assert.ok(gradient, `no gradient of ${name}`);
    const scale = Math.max(l2, floor);
    assertAllClose([norm(gradient)], [l2], TOLERANCE, `length of the gradient of ${name}`, scale);
  }
  for (const [name, first8] of Object.entries(wanted.first8)) {
    const gradient = gradients.get(name) ?? new Float32Array(0);
    const scale = Math.max(largest(gradient), floor);
    assertAllClose(gradient.subarray(0, 8), first8, TOLERANCE, `gradient of ${name}`, scale);
  }
}

for (const { variant } of runnableVariants().filter((loaded) => loaded.variant !== "debug")) {
  test(`bert-tiny gives the reference's hidden states, pooled vectors and logits (${variant})`, {
    skip: noBert,
  }, () => {
    const model = loadModel(Engine.create({ kernels: variant }), bertFolder);
    const { cases } = readJson(bertFolder, "reference.json") as BertReference;
    assert.equal(cases.length, 3);
    for (const [i, want] of cases.entries()) {
      const { hidden, pooled, logits } = classify(model, want.input_ids);
      const layers = [want.embedding_output, want.hidden_layer1, want.hidden_layer2];
      assert.equal(hidden.length, layers.length);
      layers.forEach((layer, k) => {
        assertAllClose(hidden[k] ?? [], layer.flat(), TOLERANCE, `case ${i}, hidden state ${k}`);
      });
      assertAllClose(pooled, want.pooled, TOLERANCE, `case ${i}, pooled`);
      assertAllClose(logits, want.logits, TOLERANCE, `case ${i}, logits`);
    }
  });

  test(`bert-tiny gives the reference's losses and gradients (${variant})`, { skip: noBert }, () => {
    const model = loadModel(Engine.create({ kernels: variant }), bertFolder);
    const { cases, gradient } = readJson(bertFolder, "reference.json") as BertReference;
    for (const { input_ids: ids, cross_entropy_label1: want } of cases) {
      const targets = { kind: "classes", labels: [1] } as const;
      const { loss } = lossAndGradients(model, packBatch([{ ids }]), targets);
      assertAllClose([loss], [want], TOLERANCE, "cross entropy", Math.max(1, want));
    }
    const batch = packBatch([{ ids: cases[gradient.case]?.input_ids ?? [] }]);
    const targets = { kind: "classes", labels: [gradient.label] } as const;
    const { loss, gradients } = lossAndGradients(model, batch, targets);
    assertAllClose([loss], [gradient.loss], TOLERANCE, "loss");
    assertGradients(gradients, { l2: gradient.l2_norm, first8: gradient.first8 });
    for (const [name, sum] of Object.entries(gradient.sum)) {
      const values = gradients.get(name) ?? new Float32Array(0);
      const total = values.reduce((all, value) => all + value, 0);
      const magnitude = values.reduce((all, value) => all + Math.abs(value), 0);
      assertAllClose([total], [sum], TOLERANCE, `sum of the gradient of ${name}`, magnitude);
    }
  });

  test(`stories260K gives the reference's hidden states and logits (${variant})`, {
    skip: noLlama,
  }, () => {
    const engine = Engine.create({ kernels: variant });
    const model = loadModel(engine, llamaFolder);
    const { cases } = readJson(llamaFolder, "reference.json") as LlamaReference;
    assert.equal(cases.length, 3);
    for (const [i, want] of cases.entries()) {
      engine.step(() => {
        const tape = new Tape(engine, { recording: false });
        const batch = packBatch([{ ids: want.input_ids }]);
        const captured: Float32Array[] = [];
        const final = model.body.forward(tape, batch, (state) => captured.push(state.toHost()));
        // The reference's last entry is before the final norm, which captures end with.
        want.hidden_after_layer_last_pos.slice(0, -1).forEach((state, k) => {
          const last = captured[k]?.slice(-state.length) ?? [];
          assertAllClose(last, state, TOLERANCE, `case ${i}, hidden state ${k}`);
        });
        const rows = want.input_ids.map((_, row) => row);
        const logits = model.tokenLogits(tape, batch, rows).toHost();
        const last = logits.slice(-want.logits_last.length);
        assertAllClose(last, want.logits_last, TOLERANCE, `case ${i}, last logits`);
        if (want.final_hidden_after_norm === null || want.logits === null) return;
        const normed = want.final_hidden_after_norm.flat();
        assertAllClose(final.toHost(), normed, TOLERANCE, `case ${i}, final norm`);
        assertAllClose(logits, want.logits.flat(), TOLERANCE, `case ${i}, logits`);
      });
    }
  });

  test(`stories260K gives the reference's losses and gradients (${variant})`, {
    skip: noLlama,
  }, () => {
    const model = loadModel(Engine.create({ kernels: variant }), llamaFolder);
    const { cases } = readJson(llamaFolder, "reference_grad.json") as LlamaGradients;
    assert.equal(cases.length, 3);
    for (const want of cases) {
      const batch = packBatch([{ ids: want.input_ids }]);
      const { loss, gradients } = lossAndGradients(model, batch, { kind: "next-token" });
      assertAllClose([loss], [want.loss], TOLERANCE, "loss", Math.max(1, want.loss));
      assertGradients(gradients, { l2: want.grad_l2, first8: want.grad_first8 });
    }
  });

  test(`stories260K tells the reference's story token for token (${variant})`, {
    skip: noLlama,
  }, () => {
    const model = loadModel(Engine.create({ kernels: variant }), llamaFolder);
    const want = readJson(llamaFolder, "reference.json") as LlamaReference;
    const [start, ...rest] = want.greedy_ids_from_BOS;
    const ids = [
      ...generate(model, [start as number], {
        maxTokens: rest.length,
        temperature: 0,
        stopIds: [],
      }),
    ];
    assert.deepEqual(ids, rest);
    assert.equal(loadTokenizer(llamaFolder).decode(want.greedy_ids_from_BOS), want.greedy_text);
  });
}
