/** Writes ONNX models byte by byte (onnx.proto's ModelProto), so that no exporter is needed. */

import { Buffer } from "node:buffer";

const text = new TextEncoder();
const FLOAT = 1;
const INT64 = 7;

function varint(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}

/** Protocol buffers: a varint field, a field of 32 bits, and a field of bytes. */
const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const float = (field, value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), bytes]);
};
const block = (field, bytes) =>
  Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
const string = (field, value) => block(field, text.encode(value));

/** An operator attribute of a float, a whole number or a list of these. */
function attribute(name, value) {
  const [FLOAT_KIND, INT_KIND, INTS_KIND] = [1, 2, 7];
  const body = Array.isArray(value)
    ? [number(20, INTS_KIND), ...value.map((item) => number(8, item))]
    : Number.isInteger(value)
      ? [number(20, INT_KIND), number(3, value)]
      : [number(20, FLOAT_KIND), float(2, value)];
  return block(5, Buffer.concat([string(1, name), ...body]));
}

/** A graph under construction; values are known by name. */
export class OnnxGraph {
  #nodes = [];
  #initializers = [];
  #inputs = [];
  #outputs = [];
  #count = 0;

  /** A float32 tensor, or int64 for shapes. */
  constant(dims, data, name = `c${this.#count++}`) {
    const isFloat = data instanceof Float32Array;
    const raw = isFloat ? data : BigInt64Array.from(data, BigInt);
    const bytes = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength);
    const shape = dims.map((side) => number(1, side));
    const tensor = [...shape, number(2, isFloat ? FLOAT : INT64), string(8, name), block(9, bytes)];
    this.#initializers.push(block(5, Buffer.concat(tensor)));
    return name;
  }

  input(name, dims, isFloat = true) {
    this.#inputs.push(block(11, valueInfo(name, dims, isFloat ? FLOAT : INT64)));
    return name;
  }

  output(name, dims) {
    this.#outputs.push(block(12, valueInfo(name, dims, FLOAT)));
  }

  /** Adds an operator and returns the name of its first output. */
  node(type, inputs, attributes = {}, output = `v${this.#count++}`) {
    const parts = [
      ...inputs.map((name) => string(1, name)),
      string(2, output),
      string(4, type),
      ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
    ];
    this.#nodes.push(block(1, Buffer.concat(parts)));
    return output;
  }

  /** The serialized ModelProto. */
  model(opset) {
    const graph = [...this.#nodes, string(2, "graph"), ...this.#initializers];
    const body = Buffer.concat([...graph, ...this.#inputs, ...this.#outputs]);
    return Buffer.concat([number(1, 8), block(7, body), block(8, number(2, opset))]);
  }
}

function valueInfo(name, dims, kind) {
  const sides = dims.map((side) => block(1, number(1, side)));
  const tensorType = Buffer.concat([number(1, kind), block(2, Buffer.concat(sides))]);
  return Buffer.concat([string(1, name), block(2, block(1, tensorType))]);
}
