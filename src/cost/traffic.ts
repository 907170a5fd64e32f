/** Bytes of an adapter on the wire: a safetensors file of factors sliced to a structure, heads and scores. */
import type { ModelShape } from "../base/model-shape.ts";
import { unitKinds, type UnitCounts } from "../base/structure.ts";
import { adaptedLinears, keptSize, type AdapterSetup } from "./parameters.ts";

export interface TrafficSetup extends AdapterSetup {
  readonly trainHead: boolean;
  /** Whether scores of units travel too. */
  readonly hasScores: boolean;
}

/**
 * The file that src/io/adapter-file.ts writes, exact but for some tens of bytes of its header: a shape knows neither
 * the names of head tensors nor the digits of the scale. What carries the file (MQTT, hashes, repeats) is not counted.
 */
export function adapterFileBytes(shape: ModelShape, setup: TrafficSetup): number {
  const tensors = [...tensorsOf(shape, setup)].sort(([a], [b]) => (a < b ? -1 : 1));
  const structure = "0".repeat(structureTextChars(shape.units));
  const fields = [`"__metadata__":{"format":"pt","scale":"2","structure":"${structure}"}`];
  let offset = 0;
  for (const [name, sides] of tensors) {
    const end = offset + 4 * sides.reduce((product, side) => product * side, 1);
    fields.push(
      `"${name}":{"dtype":"F32","shape":[${sides.join(",")}],"data_offsets":[${offset},${end}]}`,
    );
    offset = end;
  }
  const headerBytes = fields.join(",").length + 2;
  return 8 + Math.ceil(headerBytes / 8) * 8 + offset;
}

/** Length of what `encodeStructure` writes: two bitmaps a layer, four units a digit. */
function structureTextChars({ layers, heads, ffn }: UnitCounts): number {
  return layers * (Math.ceil(heads / 4) + 1 + Math.ceil(ffn / 4)) + layers - 1;
}

function* tensorsOf(
  shape: ModelShape,
  { structure, targets, rank, trainHead, hasScores }: TrafficSetup,
): Generator<[name: string, sides: number[]]> {
  for (const linear of adaptedLinears(shape, targets)) {
    const { outputs, inputs } = keptSize(linear, structure);
    yield [`${linear.name}.lora_A.weight`, [rank, inputs]];
    yield [`${linear.name}.lora_B.weight`, [outputs, rank]];
  }
  const weights = shape.numLabels * shape.width;
  if (trainHead && weights > 0) {
    yield ["h".repeat(HEAD_NAME_CHARS), [shape.numLabels, shape.width]];
    const others = shape.trainedHeadParameters - weights;
    if (others > 0) yield ["h".repeat(HEAD_NAME_CHARS - 1), [others]];
  }
  if (hasScores) {
    const { units } = shape;
    for (const kind of unitKinds) yield [`scores.${kind}`, [units.layers, units[kind]]];
  }
}

/** Characters of "classifier.weight". */
const HEAD_NAME_CHARS = 17;
