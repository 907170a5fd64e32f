/** The engine as a library: the names that programs outside this project may rely on. */

// Values, chance and errors.
export { shapeText, sizeOf, type HostArray, type NamedArrays } from "./base/arrays.ts";
export {
  ArenaError,
  CheckpointError,
  ConfigError,
  DataError,
  ExitCode,
  FedspineError,
  KernelError,
  ShapeError,
  type ErrorDetails,
} from "./base/errors.ts";
export { Rng } from "./base/rng.ts";
export {
  fullStructure,
  type LayerStructure,
  type Structure,
  type UnitCounts,
  type UnitKind,
} from "./base/structure.ts";
export { type LinearShape, type ModelShape, type UnitSpan } from "./base/model-shape.ts";

// Memory, tensors and differentiation.
export { Engine, type EngineOptions } from "./tensor/engine.ts";
export { Tensor, type DType } from "./tensor/tensor.ts";
export { Tape, type TapeOptions } from "./autograd/tape.ts";
export { defineOp, type OpDefinition } from "./autograd/op.ts";
export {
  IGNORED_LABEL,
  activation,
  add,
  attention,
  crossEntropy,
  dropout,
  gatherRows,
  layerNorm,
  linear,
  loraLinear,
  meanPool,
  rmsNorm,
  rope,
  ropeTables,
  siluMul,
  vocabularyLoss,
  type ActivationName,
  type AttentionShape,
  type LowRank,
  type RopeTables,
} from "./autograd/index.ts";

// Models and adapters.
export { loadModel, type LoadModelOptions } from "./models/load.ts";
export { saveModel, type SavedForm, type SaveModelOptions } from "./models/save.ts";
export { Model } from "./models/model.ts";
export { readModelShape } from "./models/shape.ts";
export { sliceModel, type SliceOptions } from "./pruning/slice.ts";
export { generate, type GenerateOptions } from "./models/generate.ts";
export { LORA_DEFAULTS, Lora, type LoraConfig } from "./lora/lora.ts";
export { AdaptedModel, type AdaptOptions } from "./train/adapted-model.ts";

// Text and files.
export { Tokenizer, loadTokenizer } from "./text/tokenizer.ts";
export { packBatch, type PackedBatch, type Sequence } from "./data/batch.ts";
export { Safetensors, type TensorReader } from "./io/safetensors.ts";
export { writeSafetensors } from "./io/safetensors-writer.ts";
export { readPeftAdapter, writePeftAdapter, type PeftAdapter } from "./io/peft.ts";

// Training.
export { FINE_TUNE_DEFAULTS, FineTuner, type FineTuneOptions } from "./train/fine-tune.ts";
export { Trainer, type StepResult, type TrainerConfig } from "./train/trainer.ts";
export { ADAMW_DEFAULTS, AdamW, type AdamWConfig } from "./train/adamw.ts";
export { Sgd, type SgdConfig } from "./train/sgd.ts";
export { classLogits, evaluateClassifier, evaluateLanguageModel } from "./train/evaluate.ts";
