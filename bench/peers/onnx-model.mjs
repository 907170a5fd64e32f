/** The two models that onnxruntime-web is given: a matrix product and our BERT classifier. */
import { OnnxGraph } from "./onnx-graph.mjs";

/** c = a b for square float32 matrices. */
export function matmulModel(size) {
  const graph = new OnnxGraph();
  const dims = [size, size];
  graph.node("MatMul", [graph.input("a", dims), graph.input("b", dims)], {}, "c");
  graph.output("c", dims);
  return graph.model(13);
}

/** ids [B, T] (int64) -> logits [B, 2] with the weights of bench/steps' model, its fresh adapter left out. */
export function bertModel({ batch: B, tokens: T, width: C, heads: H, layers }, weights) {
  const graph = new OnnxGraph();
  const D = C / H;
  const load = (name) => {
    const { shape, data } = weights.get(name);
    return graph.constant([...shape], data);
  };
  const transposed = (name) => {
    const { shape, data } = weights.get(name);
    const [rows, cols] = shape;
    const out = new Float32Array(rows * cols);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) out[c * rows + r] = data[r * cols + c];
    }
    return graph.constant([cols, rows], out);
  };
  const linear = (x, name) => {
    const product = graph.node("MatMul", [x, transposed(`${name}.weight`)]);
    return graph.node("Add", [product, load(`${name}.bias`)]);
  };
  const norm = (x, name) =>
    graph.node("LayerNormalization", [x, load(`${name}.weight`), load(`${name}.bias`)], {
      epsilon: 1e-12,
    });
  const toHeads = graph.constant([4], [B, T, H, D]);
  const toRows = graph.constant([3], [B, T, C]);
  const scale = graph.constant([1], Float32Array.of(1 / Math.sqrt(D)));
  const heads = (x, perm) =>
    graph.node("Transpose", [graph.node("Reshape", [x, toHeads])], { perm });

  const ids = graph.input("ids", [B, T], false);
  const { data: positions } = weights.get("bert.embeddings.position_embeddings.weight");
  let x = graph.node("Gather", [load("bert.embeddings.word_embeddings.weight"), ids]);
  x = graph.node("Add", [x, graph.constant([T, C], positions.slice(0, T * C))]);
  x = norm(x, "bert.embeddings.LayerNorm");
  for (let i = 0; i < layers; i++) {
    const at = `bert.encoder.layer.${i}`;
    const q = heads(linear(x, `${at}.attention.self.query`), [0, 2, 1, 3]);
    const k = heads(linear(x, `${at}.attention.self.key`), [0, 2, 3, 1]);
    const v = heads(linear(x, `${at}.attention.self.value`), [0, 2, 1, 3]);
    const scores = graph.node("Mul", [graph.node("MatMul", [q, k]), scale]);
    const mixed = graph.node("MatMul", [graph.node("Softmax", [scores], { axis: 3 }), v]);
    const joined = graph.node("Reshape", [
      graph.node("Transpose", [mixed], { perm: [0, 2, 1, 3] }),
      toRows,
    ]);
    const attended = linear(joined, `${at}.attention.output.dense`);
    x = norm(graph.node("Add", [x, attended]), `${at}.attention.output.LayerNorm`);
    const inner = graph.node("Gelu", [linear(x, `${at}.intermediate.dense`)]);
    const mlp = linear(inner, `${at}.output.dense`);
    x = norm(graph.node("Add", [x, mlp]), `${at}.output.LayerNorm`);
  }
  const axes = graph.constant([1], [1]);
  const pooled = graph.node("ReduceMean", [x, axes], { keepdims: 0 });
  const logits = graph.node("MatMul", [pooled, transposed("classifier.weight")]);
  graph.node("Add", [logits, load("classifier.bias")], {}, "logits");
  graph.output("logits", [B, 2]);
  return graph.model(20);
}
