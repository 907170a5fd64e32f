/** What durable files in a folder need of the file system. */
import { open } from "node:fs/promises";

/** Makes renames in `folder` durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** For `catch`: a file that is not there is an answer, anything else an error. */
export function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
  return undefined;
}
