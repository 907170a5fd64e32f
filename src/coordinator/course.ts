/** The state machine that leads a run as its settings ask: in rounds that everybody waits for, or in versions that overlap. */
import { Rng } from "../base/rng.ts";
import type { Selector } from "../strategies/selection/selector.ts";
import { createBufferMachine } from "./buffer-machine.ts";
import type { CoordinatorConfig } from "./config.ts";
import { createRoundMachine, type Step } from "./round-machine.ts";
import type { RoundInput, RoundSettings, RoundState } from "./round-state.ts";
import type { Steering } from "./steering.ts";

export interface CourseParts {
  readonly config: CoordinatorConfig;
  readonly steering: Steering;
  readonly selector: Selector;
}

export function courseOf({
  config,
  steering,
  selector,
}: CourseParts): (state: RoundState, input: RoundInput) => Step {
  const { selection, seed, mode } = config;
  const settings: RoundSettings = {
    ...config,
    select: (deviceIds, { round, attempt, numDone }) => {
      const able = steering.feasible(deviceIds, round);
      const wanted = selection.kind === "random" ? selection.count : able.length;
      const rng = Rng.fromSeed(`${seed}/select/${round}/${attempt}`);
      return selector.select(able, Math.max(0, wanted - numDone), rng);
    },
  };
  return mode.kind === "buffered"
    ? createBufferMachine({ ...settings, ...mode })
    : createRoundMachine(settings);
}
