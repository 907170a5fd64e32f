/** Where the base model that comes with the package lies. */
import { fileURLToPath } from "node:url";

/** A Hugging Face model folder. */
export const BUNDLED_BASE = fileURLToPath(new URL("../../../models/base-encoder", import.meta.url));
