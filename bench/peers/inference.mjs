/**
 * Times a forward pass of BERT-small here and in onnxruntime, interleaved: its WebAssembly build, and its
 * native one, which is what transformers.js runs on in Node.
 */
import native from "onnxruntime-node";
import { canRun, ourModel, ourWays, stepData } from "../../dist/bench/steps/ours.js";
import { interleavedMedians, printMedians, timed } from "../../dist/bench/steps/contender.js";
import { stepShapes } from "../../dist/bench/steps/shapes.js";
import { bertModel } from "./onnx-model.mjs";

const ROUNDS = 15;
const LOGIT_TOLERANCE = 1e-3;

/** One line per batch size, with the peer's time as 1. */
export async function inference() {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const small = stepShapes.find(({ name }) => name.startsWith("bert-small"));
  for (const batch of [1, 16]) {
    const shape = { ...small, batch };
    const ways = ourWays.filter(({ kernels }) => canRun(kernels));
    const ours = ways.map((way) => ({ name: way.name, model: ourModel(shape, way) }));
    const model = bertModel(shape, ours[0].model.weights());
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    const ids = BigInt64Array.from(stepData(shape).ids, BigInt);
    const feeds = { ids: new ort.Tensor("int64", ids, [batch, shape.tokens]) };
    const { logits } = await session.run(feeds);
    const expected = ours[0].model.forward();
    const worst = Math.max(...expected.map((value, i) => Math.abs(value - logits.data[i])));
    if (!(worst < LOGIT_TOLERANCE)) throw new RangeError(`onnxruntime-web is off by ${worst}`);
    const nativeSession = await native.InferenceSession.create(model, {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
    });
    const nativeFeeds = { ids: new native.Tensor("int64", ids, [batch, shape.tokens]) };
    const contenders = [
      timed("onnxruntime-web", () => session.run(feeds)),
      timed("onnxruntime-node", () => nativeSession.run(nativeFeeds)),
      ...ours.map(({ name, model: own }) => timed(name, () => own.forward())),
    ];
    const medians = await interleavedMedians(contenders, { rounds: ROUNDS });
    const record = { name: "inference", shape: `${shape.name} ${batch}x${shape.tokens}` };
    printMedians(record, contenders, medians, "onnxruntime-web");
    await session.release();
    await nativeSession.release();
  }
}
