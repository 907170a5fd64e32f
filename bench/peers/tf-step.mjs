/** The LoRA step of bench/steps in TensorFlow.js: variables, tf.grads through its optimiser, the wasm backend. */

/** { name, step(): number }: the loss of a step. `weights` are ours, by name. */
export async function tfStep(shape, weights, data) {
  const tf = await import("@tensorflow/tfjs-core");
  const wasm = await import("@tensorflow/tfjs-backend-wasm");
  // The core package for Node knows no gradients; the whole package registers them.
  await import("@tensorflow/tfjs");
  wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
  const { batch: B, tokens: T, width: C, heads: H, layers } = shape;
  const D = C / H;
  const load = (name) => {
    const { shape: dims, data: values } = weights.get(name);
    return tf.tensor(values.slice(), [...dims]);
  };
  const affine = (name) => ({
    w: tf.transpose(load(`${name}.weight`)),
    b: load(`${name}.bias`),
  });
  const normOf = (name) => ({ w: load(`${name}.weight`), b: load(`${name}.bias`) });
  const factors = (name) => ({
    a: tf.variable(tf.transpose(load(`${name}.lora_A.weight`))),
    b: tf.variable(tf.transpose(load(`${name}.lora_B.weight`))),
  });
  const blocks = Array.from({ length: layers }, (_, i) => {
    const at = `bert.encoder.layer.${i}`;
    return {
      query: {
        ...affine(`${at}.attention.self.query`),
        ...named(factors(`${at}.attention.self.query`)),
      },
      key: affine(`${at}.attention.self.key`),
      value: {
        ...affine(`${at}.attention.self.value`),
        ...named(factors(`${at}.attention.self.value`)),
      },
      output: affine(`${at}.attention.output.dense`),
      norm1: normOf(`${at}.attention.output.LayerNorm`),
      up: affine(`${at}.intermediate.dense`),
      down: affine(`${at}.output.dense`),
      norm2: normOf(`${at}.output.LayerNorm`),
    };
  });
  const tokens = load("bert.embeddings.word_embeddings.weight");
  const positions = tf.slice(load("bert.embeddings.position_embeddings.weight"), [0, 0], [T, C]);
  const embeddingNorm = normOf("bert.embeddings.LayerNorm");
  const head = affine("classifier");
  const classifier = { w: tf.variable(head.w), b: tf.variable(head.b) };
  const ids = tf.tensor1d(data.ids, "int32");
  const wanted = tf.oneHot(tf.tensor1d(data.labels, "int32"), 2);

  const linear = (x, { w, b }) => tf.add(tf.matMul(x, w), b);
  const low = (x, layer) =>
    tf.add(linear(x, layer), tf.mul(2, tf.matMul(tf.matMul(x, layer.factorA), layer.factorB)));
  const norm = (x, { w, b }) => {
    const centred = tf.sub(x, tf.mean(x, -1, true));
    const variance = tf.mean(tf.square(centred), -1, true);
    return tf.add(tf.mul(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-12))), w), b);
  };
  // Its wasm backend has no error function: the tanh form of GELU, which costs it less.
  const gelu = (x) => {
    const inner = tf.mul(
      Math.sqrt(2 / Math.PI),
      tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x)))),
    );
    return tf.mul(tf.mul(0.5, x), tf.add(1, tf.tanh(inner)));
  };
  const split = (x) => tf.transpose(tf.reshape(x, [B, T, H, D]), [0, 2, 1, 3]);

  function loss() {
    const embedded = tf.reshape(tf.gather(tokens, ids), [B, T, C]);
    let x = tf.reshape(norm(tf.add(embedded, positions), embeddingNorm), [B * T, C]);
    for (const block of blocks) {
      const [q, k, v] = [low(x, block.query), linear(x, block.key), low(x, block.value)].map(split);
      const scores = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(D));
      const mixed = tf.matMul(tf.softmax(scores), v);
      const joined = tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [B * T, C]);
      x = norm(tf.add(x, linear(joined, block.output)), block.norm1);
      x = norm(tf.add(x, linear(gelu(linear(x, block.up)), block.down)), block.norm2);
    }
    const pooled = tf.mean(tf.reshape(x, [B, T, C]), 1);
    const logProbs = tf.logSoftmax(linear(pooled, classifier));
    return tf.neg(tf.mean(tf.sum(tf.mul(logProbs, wanted), -1)));
  }

  const optimizer = tf.train.adam(1e-3);
  return {
    name: "tfjs wasm",
    step() {
      const value = optimizer.minimize(loss, true);
      const [result] = value.dataSync();
      value.dispose();
      return result;
    },
  };
}

const named = ({ a, b }) => ({ factorA: a, factorB: b });
