/** What an update has to look like, known from the model before the first one comes, and the check of one against it. */
import type { AdapterState } from "../base/adapter.ts";
import { type NamedArrays, shapeText } from "../base/arrays.ts";
import { ConfigError } from "../base/errors.ts";
import type { ModelShape } from "../base/model-shape.ts";
import {
  type Structure,
  decodeStructure,
  fullStructure,
  isSubset,
  scoreTensors,
  unitKinds,
} from "../base/structure.ts";
import type { TargetPattern } from "../base/target-pattern.ts";
import { adaptedLinears, bodySparsity } from "../cost/parameters.ts";
import { type AdapterContent, decodeAdapterFile } from "../io/adapter-file.ts";
import type { RejectReason } from "../protocol/messages.ts";
import { withOwnership } from "../strategies/aggregation/narrow.ts";
import { defectOf, rankOf } from "../strategies/aggregation/update-check.ts";

/** Shapes by tensor name of the layers that are trained in full. */
export type HeadShapes = ReadonlyMap<string, readonly number[]>;

export interface LayoutOptions {
  readonly shape: ModelShape;
  readonly targets: TargetPattern;
  /** Empty when heads are not trained. */
  readonly heads: HeadShapes;
  /** alpha / R */
  readonly scale: number;
}

/** What one device was asked for. */
export interface Expectation {
  readonly rank: number;
  /** Under self-pruning a device may send fewer directions than it was asked for. */
  readonly mayLowerRank: boolean;
  /** The units that it may still have. */
  readonly within: Structure;
  /** It may have lost some of them; else it must have all. */
  readonly mayPrune: boolean;
}

/** An update that fits the model and holds finite numbers only. */
export interface SoundUpdate {
  readonly state: AdapterState;
  readonly structure: Structure;
  readonly sparsity: number;
  readonly rank: number;
  /** `scores.heads` and `scores.ffn`, or none. */
  readonly scores: NamedArrays;
}

export interface Refusal {
  readonly reason: RejectReason;
  readonly detail: string;
}

export class UpdateLayout {
  readonly #options: LayoutOptions;
  readonly #modules: ReadonlySet<string>;

  /** Throws ConfigError when the targets select no layer. */
  constructor(options: LayoutOptions) {
    this.#options = options;
    const linears = adaptedLinears(options.shape, options.targets);
    if (linears.length === 0) {
      const known = [...new Set(options.shape.linears.map(({ name }) => name.split(".").at(-1)))];
      throw new ConfigError("plan.targets: the model has no such layer", {
        expected: `"all-linear", or some of ${known.join(", ")}`,
        got: typeof options.targets === "string" ? options.targets : options.targets.join(", "),
      });
    }
    this.#modules = new Set(linears.map(({ name }) => name));
  }

  /** Never throws. */
  read(bytes: Uint8Array, origin: string, expected: Expectation): SoundUpdate | Refusal {
    const { shape, scale } = this.#options;
    let content: Required<AdapterContent>;
    let structure: Structure;
    try {
      content = decodeAdapterFile(bytes, origin, scale);
      structure =
        content.structureText === null
          ? fullStructure(shape.units)
          : decodeStructure(content.structureText, shape.units, origin);
    } catch (error) {
      return refusal("unreadable", error instanceof Error ? error.message : String(error));
    }
    if (!isSubset(structure, expected.within)) {
      return refusal("wrong-shape", "it has units that were pruned before");
    }
    if (!expected.mayPrune && !isSubset(expected.within, structure)) {
      return refusal("wrong-shape", "it is pruned in a run without pruning");
    }
    const { scores } = content;
    const wrong = this.#wrongModules(content, expected) ?? this.#wrongHeads(content.heads);
    if (wrong !== null) return refusal("wrong-shape", wrong);
    const sliced = withOwnership(content, shape, structure);
    if ("defect" in sliced) return refusal("wrong-shape", sliced.defect.text);
    const { state } = sliced;
    const defect = defectOf(state);
    if (defect !== null) {
      return refusal(defect.reason === "not-finite" ? "not-finite" : "wrong-shape", defect.text);
    }
    const [first] = state.modules;
    const rank = first === undefined ? 0 : rankOf(first);
    const sparsity = bodySparsity(shape, structure);
    return this.#wrongScores(scores) ?? { state, structure, sparsity, rank, scores };
  }

  #wrongModules({ modules }: AdapterContent, { rank, mayLowerRank }: Expectation): string | null {
    if (modules.length !== this.#modules.size) {
      return `${modules.length} adapted layers, not ${this.#modules.size}`;
    }
    const stranger = modules.find(({ name }) => !this.#modules.has(name));
    if (stranger !== undefined) return `${stranger.name} has no adapter in this run`;
    const ranks = [...new Set(modules.map(rankOf))];
    const [got = 0] = ranks;
    const fits = ranks.length === 1 && (mayLowerRank ? got >= 1 && got <= rank : got === rank);
    return fits ? null : `it has rank ${ranks.join(" and ")}, not ${rank}`;
  }

  #wrongHeads(got: NamedArrays): string | null {
    const { heads } = this.#options;
    if (got.size !== heads.size) return `${got.size} head tensors, not ${heads.size}`;
    for (const [name, shape] of heads) {
      const array = got.get(name);
      if (array === undefined) return `the head tensor ${name} is missing`;
      const [is, wanted] = [shapeText(array.shape), shapeText(shape)];
      if (is !== wanted) return `${name} is ${is}, not ${wanted}`;
    }
    return null;
  }

  #wrongScores(scores: NamedArrays): Refusal | null {
    if (scores.size === 0) return null;
    const { units } = this.#options.shape;
    for (const kind of unitKinds) {
      const name = scoreTensors[kind];
      const wanted = shapeText([units.layers, units[kind]]);
      const got = scores.get(name);
      if (got === undefined || shapeText(got.shape) !== wanted) {
        return refusal("wrong-shape", `${name} is not ${wanted}`);
      }
      const bad = got.data.find((score) => !(Number.isFinite(score) && score >= 0));
      if (bad !== undefined) return refusal("bad-scores", `${name} holds ${bad}`);
    }
    return null;
  }
}

function refusal(reason: RejectReason, detail: string): Refusal {
  return { reason, detail };
}
