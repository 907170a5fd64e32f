/** One line per event of a run, stable enough to search. */
import type { Evaluation, RunEvent } from "../coordinator/run-events.ts";
import { byteText, durationText, percent } from "./output.ts";

/** The line, or null for an event that is only shown as progress. */
export function eventLine(event: RunEvent): string | null {
  switch (event.kind) {
    case "run-started":
      return event.resumedRound === null
        ? `run      fleet ${event.fleet}, ${event.rounds} rounds`
        : `run      fleet ${event.fleet}, continuing after round ${event.resumedRound}`;
    case "device-joined":
      return `joined   ${event.device} (${event.type})`;
    case "device-left":
      return `left     ${event.device} (${event.reason})`;
    case "round-started": {
      const attempt = event.attempt > 1 ? `, attempt ${event.attempt}` : "";
      return `round ${event.round}  asked ${event.devices.length} devices${attempt}`;
    }
    case "devices-asked":
      return `round ${event.round}  asked ${event.devices.length} more devices`;
    case "disk-blocked":
      return `disk     takes nothing, the run stands still: ${event.reason}`;
    case "disk-free":
      return "disk     takes data again";
    case "update-lost":
      return `lost     ${event.device} round ${event.round}: ${event.detail}`;
    case "device-quarantined":
      return `twice    ${event.device}: two machines use this id, so neither takes part`;
    case "device-excluded":
      return (
        `excluded ${event.device}: needs ${byteText(event.neededBytes)}, ` +
        `has ${byteText(event.availableBytes)}`
      );
    case "controller-decided":
      return null;
    case "device-progress":
      return null;
    case "update-received":
      return (
        `update   ${event.device} round ${event.round}: ${event.numSamples} examples, ` +
        `${event.steps} steps in ${durationText(event.trainMs)}, ` +
        `loss ${event.lossFirst.toFixed(3)} -> ${event.lossLast.toFixed(3)}, ` +
        `${byteText(event.updateBytes)} up in ${durationText(event.uploadMs)}, ` +
        `sparsity ${percent(event.sparsity)}, rank ${event.rank}`
      );
    case "update-dropped":
      return `dropped  ${event.device} round ${event.round}: ${event.reason}`;
    case "samples-capped":
      return `capped   round ${event.round}: ${event.devices.join(", ")} count as ${event.most} samples`;
    case "device-failed":
      return `failed   ${event.device} round ${event.round}: ${event.reason}`;
    case "round-short":
      return `short    round ${event.round}: ${event.updates} of ${event.needed} updates needed`;
    case "aggregated":
      return (
        `merged   round ${event.round}: ${event.devices.length} updates, ` +
        `${event.numSamples} examples, discarded energy ${percent(event.discardedEnergy)}, ` +
        durationText(event.ms) +
        (event.maxStaleness === 0
          ? ""
          : `, ${event.meanStaleness.toFixed(1)} versions old on average`)
      );
    case "evaluated":
      return (
        `scored   round ${event.round}: accuracy ${percent(event.accuracy)}, ` +
        `macro-F1 ${percent(event.macroF1)}, loss ${event.loss.toFixed(3)}${ofModels(event)}`
      );
    case "round-finished":
      return (
        `took     round ${event.round}: ${durationText(event.durationMs)}, ` +
        `mean wait ${durationText(event.waitingMs)}`
      );
    case "checkpoint":
      return `saved    round ${event.round}: ${event.path}`;
    case "message-dropped":
      return `ignored  ${event.device ?? "unknown sender"}: ${event.reason} (${event.detail})`;
    case "finished":
      return `finished ${event.ok ? "well" : "badly"}: ${event.reason}`;
  }
}

/** What was not used over the run, by reason; empty where everything was. */
export function dropLines(dropped: Readonly<Record<string, number>>): string[] {
  const reasons = Object.entries(dropped).map(([reason, count]) => `${reason} ${count}`);
  return reasons.length === 0 ? [] : [`dropped    ${reasons.join(", ")}`];
}

/** How many pruned models a score is the mean of, and the worst of them. */
function ofModels({ numDevices, worst }: Evaluation): string {
  if (numDevices === undefined || worst === undefined) return "";
  return `, mean of ${numDevices} models, worst ${percent(worst.accuracy)} (${worst.device})`;
}
