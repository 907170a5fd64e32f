/** Runs the built command line as a user does: a process, its output, its exit status. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { AssertionError } from "node:assert";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

export interface Finished {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `fedspine ...args` to its end; `input` is its standard input. */
export function fedspine(args: readonly string[], input = ""): Promise<Finished> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) => {
      const status = typeof error?.code === "number" ? error.code : error === null ? 0 : -1;
      resolve({ status, stdout, stderr });
    });
    child.stdin?.end(input);
  });
}

/** Runs a command that must succeed, and parses its standard output as JSON lines. */
export async function fedspineJson(args: readonly string[], input = ""): Promise<unknown[]> {
  const { status, stdout, stderr } = await fedspine([...args, "--json"], input);
  if (status !== 0) {
    throw new AssertionError({ message: `fedspine ${args.join(" ")} ended ${status}\n${stderr}` });
  }
  return stdout
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
}
