/** A progress bar on stderr where a terminal is attached, and nothing elsewhere. */
import { Presets, SingleBar } from "cli-progress";

export interface Progress {
  update(done: number, text: string): void;
  stop(): void;
}

const silent: Progress = { update: () => undefined, stop: () => undefined };

export function progressBar(title: string, total: number, start = 0): Progress {
  if (!process.stderr.isTTY) return silent;
  const bar = new SingleBar(
    {
      format: `${title} {bar} {value}/{total}  {text}  {eta_formatted} left`,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
    },
    Presets.shades_classic,
  );
  bar.start(total, start, { text: "" });
  return {
    update: (done, text) => bar.update(done, { text }),
    stop: () => bar.stop(),
  };
}
