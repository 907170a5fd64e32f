/** A progress bar on stderr where a terminal is attached, and nothing elsewhere. */
import { MultiBar, Presets } from "cli-progress";

export interface Progress {
  update(done: number, text: string): void;
  /** Writes a line through `write` without tearing the bar. */
  line(text: string, write: (text: string) => void): void;
  stop(): void;
}

/** For runs whose only output is a record. */
export const silentProgress: Progress = {
  update: () => undefined,
  line: (text, write) => write(text),
  stop: () => undefined,
};

const REDRAW_MS = 100;

export function progressBar(title: string, total: number, start = 0): Progress {
  if (!process.stderr.isTTY) return silentProgress;
  const bars = new MultiBar(
    {
      format: `${title} {bar} {value}/{total}  {text}`,
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  const bar = bars.create(total, start, { text: "" });
  let drawnMs = 0;
  return {
    update(done, text) {
      bar.update(done, { text });
      // Training does not return to the event loop, so the bar's own timer would never fire.
      if (performance.now() - drawnMs < REDRAW_MS) return;
      bars.update();
      drawnMs = performance.now();
    },
    line(text, write) {
      // A redirected stdout gets its lines itself; on the terminal they go above the bar.
      if (process.stdout.isTTY) bars.log(`${text}\n`);
      else write(text);
    },
    stop() {
      bars.update();
      bars.stop();
    },
  };
}
