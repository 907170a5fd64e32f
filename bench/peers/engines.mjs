/** One adapter per engine: c = a b for square float32 matrices, single thread, inputs in place. */
import { product } from "../../dist/src/autograd/ops/linear.js";
import { loadKernels } from "../../dist/src/backend/wasm.js";
import { Engine } from "../../dist/src/tensor/engine.js";
import { storeRows } from "../../dist/src/tensor/storage/storages.js";
import { matmulModel } from "./onnx-model.mjs";

/**
 * An engine is { name, version, prepare(size, a, b) }; prepare returns { run, result }: `run` computes
 * the product once and returns a promise or undefined, `result` reads it as a Float32Array.
 */
function ours(variant) {
  const { kernels, memory } = loadKernels({ variant });
  return {
    name: `fedspine ${variant}`,
    prepare(size, a, b) {
      const floats = size * size;
      const base = Math.ceil(kernels.heapBase() / 64) * 64;
      const [aAt, bAt, outAt, scratchAt] = [0, 1, 2, 3].map((i) => base + i * 4 * floats);
      const end = scratchAt + kernels.matmulScratchBytes(size, size, size);
      const missing = end - memory.buffer.byteLength;
      if (missing > 0) memory.grow(Math.ceil(missing / 65536));
      new Float32Array(memory.buffer, aAt).set(a);
      new Float32Array(memory.buffer, bAt).set(b);
      return {
        run() {
          kernels.matmulNnF32(
            ...[outAt, aAt, bAt, scratchAt, size, size, size, size, size, size, 1, 0],
          );
        },
        result: () => new Float32Array(memory.buffer, outAt, floats).slice(),
      };
    },
  };
}

/** The second operand held in int8, as a frozen base is; the first is quantised on the way, row by row. */
function oursInt8() {
  const engine = Engine.create({ kernels: "relaxed" });
  return {
    name: "fedspine int8",
    /** A rounding of 1/127 per factor. */
    tolerance: 3e-2,
    prepare(size, a, b) {
      const shape = [size, size];
      const weight = engine.empty(shape, "weights", "int8");
      storeRows(engine, weight, 0, transposed(b, size));
      const left = engine.fromHost({ shape, data: a }, "weights");
      const out = engine.empty(shape, "state");
      return {
        run: () => engine.step(() => product(engine, "Nt", left, weight, { out })),
        result: () => out.toHost(),
      };
    },
  };
}

function transposed(values, size) {
  return values.map((_, i) => values[(i % size) * size + Math.floor(i / size)]);
}

async function onnxruntime() {
  const ort = await import("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  return {
    name: "onnxruntime-web",
    async prepare(size, a, b) {
      const session = await ort.InferenceSession.create(matmulModel(size), {
        executionProviders: ["wasm"],
      });
      // It leaves a global Worker behind, from which jax-js would conclude that it may use threads.
      delete globalThis.Worker;
      const feeds = {
        a: new ort.Tensor("float32", a, [size, size]),
        b: new ort.Tensor("float32", b, [size, size]),
      };
      let out;
      return {
        async run() {
          out = await session.run(feeds);
        },
        result: () => out.c.data,
      };
    },
  };
}

async function tfjs() {
  const tf = await import("@tensorflow/tfjs-core");
  const wasm = await import("@tensorflow/tfjs-backend-wasm");
  wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
  return {
    name: "tfjs-backend-wasm",
    prepare(size, a, b) {
      const left = tf.tensor2d(a, [size, size]);
      const right = tf.tensor2d(b, [size, size]);
      let out;
      return {
        run() {
          out?.dispose();
          out = tf.matMul(left, right);
        },
        result: () => out.dataSync(),
      };
    },
  };
}

async function jaxJs() {
  const jax = await import("@jax-js/jax");
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const product = jax.jit((x, y) => jax.numpy.matmul(x, y));
  return {
    name: "jax-js wasm",
    prepare(size, a, b) {
      const left = jax.numpy.array(a).reshape([size, size]);
      const right = jax.numpy.array(b).reshape([size, size]);
      let out;
      return {
        async run() {
          out?.dispose();
          out = product(left.ref, right.ref);
          await out.blockUntilReady();
        },
        result: () => out.ref.dataSync(),
      };
    },
  };
}

/** All engines; ours come first, so that relaxed SIMD is switched on for every one of them. */
export async function loadEngines() {
  return [
    ours("simd"),
    ours("relaxed"),
    oursInt8(),
    await onnxruntime(),
    await tfjs(),
    await jaxJs(),
  ];
}
