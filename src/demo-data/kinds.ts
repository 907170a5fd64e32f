/** All kinds of gateway by name. */
import { coldStorage } from "./kinds/cold-storage.ts";
import { elevator } from "./kinds/elevator.ts";
import { greenhouse } from "./kinds/greenhouse.ts";
import { homeEnergy } from "./kinds/home-energy.ts";
import { pumpStation } from "./kinds/pump-station.ts";
import { retail } from "./kinds/retail.ts";
import type { GatewayKind, KindTable } from "./tables.ts";

export const KINDS: Readonly<Record<GatewayKind, KindTable>> = {
  "cold-storage": coldStorage,
  elevator,
  greenhouse,
  "home-energy": homeEnergy,
  "pump-station": pumpStation,
  retail,
};
