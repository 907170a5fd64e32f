/** Times one LoRA step here and in the other WebAssembly engines that can train, interleaved in one process. */
import { canRun, ourModel, ourWays, stepData } from "../../dist/bench/steps/ours.js";
import { interleavedMedians, printMedians, timed } from "../../dist/bench/steps/contender.js";
import { stepShapes } from "../../dist/bench/steps/shapes.js";
import { jaxStep } from "./jax-step.mjs";
import { tfStep } from "./tf-step.mjs";

const LOSS_TOLERANCE = 2e-3;

/** Rounds of a shape: theirs take seconds. */
const roundsOf = ({ width }) => (width > 256 ? 5 : 9);

/** One table line per shape whose name contains one of the words; without words the three small ones. */
export async function steps(words) {
  const wanted = stepShapes.filter(({ name }) =>
    words.length === 0 ? !name.includes("base") : words.some((word) => name.includes(word)),
  );
  for (const shape of wanted) {
    const ways = ourWays.filter(({ kernels }) => canRun(kernels));
    const ours = ways.map((way) => ({ name: way.name, model: ourModel(shape, way) }));
    const weights = ours[0].model.weights();
    const peers = [
      await jaxStep(shape, weights, stepData(shape)),
      await tfStep(shape, weights, stepData(shape)),
    ];
    const expected = ours.map(({ model }) => model.step())[0];
    for (const peer of peers) {
      const loss = await peer.step();
      // An engine that computes something else would have a meaningless time.
      if (!(Math.abs(loss - expected) < LOSS_TOLERANCE)) {
        throw new RangeError(`${peer.name}: loss ${loss}, ours ${expected}`);
      }
    }
    const contenders = [
      ...ours.map(({ name, model }) => timed(name, () => model.step())),
      ...peers.map((peer) => timed(peer.name, () => peer.step())),
    ];
    const medians = await interleavedMedians(contenders, { rounds: roundsOf(shape), warmUps: 1 });
    printMedians({ name: "lora-step", shape: shape.name }, contenders, medians, "strict");
  }
}
