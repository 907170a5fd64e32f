/** The LoRA step of bench/steps in jax-js: one compiled function from parameters to loss and updated parameters. */

const BETA1 = 0.9;
const BETA2 = 0.999;
const RATE = 1e-3;
const WEIGHT_DECAY = 0.01;
const EPS = 1e-8;

/** { name, step(): Promise<number> }: the loss of a step on the wasm backend. `weights` are ours, by name. */
export async function jaxStep(shape, weights, data) {
  const jax = await import("@jax-js/jax");
  const { numpy: np, nn, tree } = jax;
  await jax.init("wasm");
  jax.defaultDevice("wasm");
  const { batch: B, tokens: T, width: C, heads: H, layers } = shape;
  const D = C / H;
  const load = (name) => {
    const { shape: dims, data: values } = weights.get(name);
    return np.array(values.slice()).reshape([...dims]);
  };
  // Stored input-major, as their matmul likes it.
  const matrix = (name) => np.transpose(load(name));
  const affine = (name) => ({ w: matrix(`${name}.weight`), b: load(`${name}.bias`) });
  const normOf = (name) => ({ w: load(`${name}.weight`), b: load(`${name}.bias`) });
  const blocks = Array.from({ length: layers }, (_, i) => {
    const at = `bert.encoder.layer.${i}`;
    return {
      query: affine(`${at}.attention.self.query`),
      key: affine(`${at}.attention.self.key`),
      value: affine(`${at}.attention.self.value`),
      output: affine(`${at}.attention.output.dense`),
      norm1: normOf(`${at}.attention.output.LayerNorm`),
      up: affine(`${at}.intermediate.dense`),
      down: affine(`${at}.output.dense`),
      norm2: normOf(`${at}.output.LayerNorm`),
    };
  });
  const frozen = {
    tokens: load("bert.embeddings.word_embeddings.weight"),
    positions: load("bert.embeddings.position_embeddings.weight"),
    norm: normOf("bert.embeddings.LayerNorm"),
    blocks,
  };
  const factors = (name) => ({
    a: matrix(`${name}.lora_A.weight`),
    b: matrix(`${name}.lora_B.weight`),
  });
  let trained = {
    blocks: blocks.map((_, i) => {
      const at = `bert.encoder.layer.${i}.attention.self`;
      return { query: factors(`${at}.query`), value: factors(`${at}.value`) };
    }),
    classifier: affine("classifier"),
  };
  const zeros = () => tree.map((x) => np.zerosLike(x), tree.ref(trained));
  let moments = { m: zeros(), v: zeros() };
  const ids = np.array(data.ids.slice());
  const labels = np.array(data.labels.slice());
  const scale = 2;

  const linear = (x, { w, b }) => np.matmul(x, w).add(b);
  const low = (x, base, { a, b }) =>
    linear(x.ref, base).add(np.matmul(np.matmul(x, a), b).mul(scale));
  const norm = (x, { w, b }) => nn.standardize(x, -1, { epsilon: 1e-12 }).mul(w).add(b);
  const heads = (x) => np.transpose(x.reshape([B, T, H, D]), [0, 2, 1, 3]);
  // Written out: their dotProductAttention needs iterator helpers, which Node 20 lacks.
  const attend = (q, k, v) => {
    const scores = np.matmul(q, np.transpose(k, [0, 1, 3, 2])).mul(1 / Math.sqrt(D));
    const mixed = np.matmul(nn.softmax(scores, -1), v);
    return np.transpose(mixed, [0, 2, 1, 3]).reshape([B, T, C]);
  };

  function loss(train, base, tokenIds, wanted) {
    const positions = base.positions.slice([0, T]);
    let x = np.take(base.tokens, tokenIds, 0).reshape([B, T, C]).add(positions);
    x = norm(x, base.norm);
    base.blocks.forEach((block, i) => {
      const adapters = train.blocks[i];
      const q = heads(low(x.ref, block.query, adapters.query));
      const k = heads(linear(x.ref, block.key));
      const v = heads(low(x.ref, block.value, adapters.value));
      x = norm(x.add(linear(attend(q, k, v), block.output)), block.norm1);
      const inner = nn.gelu(linear(x.ref, block.up), { approximate: false });
      x = norm(x.add(linear(inner, block.down)), block.norm2);
    });
    const logits = linear(np.mean(x, 1), train.classifier);
    const picked = nn.logSoftmax(logits, -1).mul(nn.oneHot(wanted, 2));
    return np.sum(picked).mul(-1 / B);
  }

  const update = jax.jit((train, { m, v }, base, tokenIds, wanted, bias1, bias2) => {
    const [value, gradient] = jax.valueAndGrad(loss)(tree.ref(train), base, tokenIds, wanted);
    const nextM = tree.map((x, g) => x.mul(BETA1).add(g.mul(1 - BETA1)), m, tree.ref(gradient));
    const nextV = tree.map((x, g) => x.mul(BETA2).add(np.square(g).mul(1 - BETA2)), v, gradient);
    const next = tree.map(
      (p, first, second) => {
        const direction = first.div(bias1.ref).div(np.sqrt(second.div(bias2.ref)).add(EPS));
        return p.ref.sub(direction.add(p.mul(WEIGHT_DECAY)).mul(RATE));
      },
      train,
      tree.ref(nextM),
      tree.ref(nextV),
    );
    bias1.dispose();
    bias2.dispose();
    return [value, next, { m: nextM, v: nextV }];
  });

  let count = 0;
  return {
    name: "jax-js wasm",
    async step() {
      count++;
      const [value, next, nextMoments] = update(
        trained,
        moments,
        tree.ref(frozen),
        ids.ref,
        labels.ref,
        np.array(1 - BETA1 ** count),
        np.array(1 - BETA2 ** count),
      );
      trained = next;
      moments = nextMoments;
      await jax.blockUntilReady(tree.ref(trained));
      return value.item();
    },
  };
}
