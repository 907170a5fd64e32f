/** Predicts every device's time and takes from each only what the round's deadline demands, as LEGEND and JCPBA do. */
import { entries, fields, opaque, options } from "../plain-shapes.ts";
import { askedOf, askedShape, chosen, feasibleTable } from "./asked.ts";
import type { Asked } from "./asked.ts";
import type { Controller } from "./controller.ts";
import { Planner, plannerDefaults, plannerShapes } from "./planner.ts";

const readOptions = options(plannerShapes, plannerDefaults, "controller model-based");
const readState = fields({ asked: entries(askedShape), planner: opaque });
const at = "state of controller model-based";

/** Options: `rank` (8), `rankWeight` (0.25), `caution` (1), `foresight` (0.7). The formulas stand in docs/controllers.md. */
export function modelBased(settings?: unknown): Controller {
  const planner = new Planner(readOptions(settings));
  let asked = new Map<string, Asked>();

  return {
    name: "model-based",
    propose(views, round) {
      const plan = planner.plan(views, round);
      return new Map(
        views.flatMap((view) => {
          const choice = plan.points.get(view.id)?.choice;
          if (choice === undefined) return [];
          asked.set(view.id, askedOf(view, choice, round));
          planner.note(view, choice, round, plan);
          return [[view.id, choice] as const];
        }),
      );
    },
    learn(outcomes) {
      planner.learn(outcomes);
    },
    export: () => ({ asked: [...asked], planner: planner.export() }),
    restore(state) {
      const read = readState(state, at);
      planner.restore(read.planner, at);
      ({ asked } = read);
    },
    explain(deviceId) {
      const last = asked.get(deviceId);
      if (last === undefined) return null;
      return {
        summary: `${chosen(last)}: ${planner.reason(deviceId)}`,
        tables: [...planner.tables(deviceId), feasibleTable(last)],
      };
    },
  };
}
