/** The controllers by name: the one list to extend. */
import { closest } from "../../base/closest.ts";
import { ConfigError } from "../../base/errors.ts";
import type { Controller } from "./controller.ts";
import { eUcb } from "./e-ucb.ts";
import { fixed } from "./fixed.ts";
import { modelBased } from "./model-based.ts";
import { sUcb } from "./s-ucb.ts";
import { hybrid } from "./hybrid.ts";
import { random } from "./random.ts";

/** Makes a controller from its options, all of which have defaults. Throws ConfigError for an unknown or wrong one. */
export type ControllerFactory = (options?: unknown) => Controller;

export const controllers: Readonly<Record<string, ControllerFactory>> = {
  fixed,
  random,
  "e-ucb": eUcb,
  "s-ucb": sUcb,
  "model-based": modelBased,
  hybrid,
};

/** Throws ConfigError for a name that is not in {@link controllers}, or for options that the controller refuses. */
export function createController(name: string, options?: unknown): Controller {
  const factory = Object.hasOwn(controllers, name) ? controllers[name] : undefined;
  if (factory !== undefined) return factory(options);
  const known = Object.keys(controllers);
  const near = closest(name, known);
  throw new ConfigError(`unknown controller ${name}`, {
    hint: near === undefined ? `known: ${known.join(", ")}` : `did you mean ${near}?`,
  });
}
