/** A uniform draw from what is feasible: the control that every learning controller has to beat. */
import { entries, fields, options } from "../plain-shapes.ts";
import { askedOf, askedShape, chosen, feasibleTable } from "./asked.ts";
import type { Asked } from "./asked.ts";
import type { Controller } from "./controller.ts";
import { rankAt, sparsityAt } from "./feasible.ts";

const readOptions = options({}, {}, "controller random");
const readState = fields({ asked: entries(askedShape) });

/** Takes no options. Throws ConfigError when it gets some. */
export function random(settings?: unknown): Controller {
  readOptions(settings);
  let asked = new Map<string, Asked>();
  return {
    name: "random",
    propose(devices, round, rng) {
      return new Map(
        devices.map((view) => {
          const choice = { sparsity: sparsityAt(view, rng.next()), rank: rankAt(view, rng.next()) };
          asked.set(view.id, askedOf(view, choice, round));
          return [view.id, choice];
        }),
      );
    },
    learn() {
      // Chance has no memory.
    },
    export: () => ({ asked: [...asked] }),
    restore(state) {
      ({ asked } = readState(state, "state of controller random"));
    },
    explain(deviceId) {
      const last = asked.get(deviceId);
      if (last === undefined) return null;
      return {
        summary: `${chosen(last)}: drawn uniformly from the feasible set`,
        tables: [feasibleTable(last)],
      };
    },
  };
}
