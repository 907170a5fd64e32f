/** The same for all: every device follows the reference ramp with one rank. */
import { entries, fields, integer, options } from "../plain-shapes.ts";
import { askedOf, askedShape, chosen, feasibleTable } from "./asked.ts";
import type { Asked } from "./asked.ts";
import type { Controller } from "./controller.ts";
import { nearestRank, nearestSparsity } from "./feasible.ts";

const readOptions = options({ rank: integer(1) }, { rank: 8 }, "controller fixed");
const readState = fields({ asked: entries(askedShape) });

/** Options: `rank` (8). Throws ConfigError for anything else. */
export function fixed(settings?: unknown): Controller {
  const { rank } = readOptions(settings);
  let asked = new Map<string, Asked>();
  return {
    name: "fixed",
    propose(devices, round) {
      return new Map(
        devices.map((view) => {
          const choice = {
            sparsity: nearestSparsity(view, round.referenceSparsity),
            rank: nearestRank(view, rank),
          };
          asked.set(view.id, askedOf(view, choice, round));
          return [view.id, choice];
        }),
      );
    },
    learn() {
      // Nothing that comes back changes a fixed choice.
    },
    export: () => ({ asked: [...asked] }),
    restore(state) {
      ({ asked } = readState(state, "state of controller fixed"));
    },
    explain(deviceId) {
      const last = asked.get(deviceId);
      if (last === undefined) return null;
      return {
        summary: `${chosen(last)}: the reference ramp and rank ${rank} as far as the device's limits allow`,
        tables: [feasibleTable(last)],
      };
    },
  };
}
