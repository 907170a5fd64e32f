/** A one-node ONNX model (MatMul), written byte by byte so that no exporter is needed. */

const bytesOf = (text) => [...new TextEncoder().encode(text)];

function varint(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return [...bytes, value];
}

/** Protocol buffers: a varint field, and a field of bytes. */
const number = (field, value) => [...varint(field << 3), ...varint(value)];
const block = (field, bytes) => [...varint((field << 3) | 2), ...varint(bytes.length), ...bytes];

/** onnx.proto: ValueInfoProto of a float tensor [size, size]. */
function valueInfo(name, size) {
  const side = block(1, number(1, size));
  const tensorType = [...number(1, 1), ...block(2, [...side, ...side])];
  return [...block(1, bytesOf(name)), ...block(2, block(1, tensorType))];
}

/** The serialized ModelProto of c = a b for square float32 matrices. */
export function matmulModel(size) {
  const node = [
    ...block(1, bytesOf("a")),
    ...block(1, bytesOf("b")),
    ...block(2, bytesOf("c")),
    ...block(4, bytesOf("MatMul")),
  ];
  const graph = [
    ...block(1, node),
    ...block(2, bytesOf("product")),
    ...block(11, valueInfo("a", size)),
    ...block(11, valueInfo("b", size)),
    ...block(12, valueInfo("c", size)),
  ];
  return Uint8Array.from([...number(1, 8), ...block(7, graph), ...block(8, number(2, 13))]);
}
