/** The error classes of the project and the exit code that each one ends a command with. */

/** Exit codes of every fedspine command. A number is never given a second meaning. */
export const ExitCode = {
  ok: 0,
  /** The command ran and its own verdict is no: a run without a quorum, a failed self-check. */
  failed: 1,
  usage: 64,
  data: 65,
  unavailable: 69,
  bug: 70,
  /** Another process has taken over what this one did. */
  displaced: 77,
} as const;

export interface ErrorDetails {
  expected?: string;
  got?: string;
  /** What the reader can do about it. */
  hint?: string;
  /** Anything else worth printing: path, tensor, topic, round. */
  [key: string]: unknown;
}

/** An error that says what, expected, got and what to do next. `message` carries the whole text. */
export class FedspineError extends Error {
  readonly exitCode: number;
  readonly details: ErrorDetails;

  constructor(what: string, details: ErrorDetails = {}, exitCode: number = ExitCode.bug) {
    super(errorText(what, details), details.cause === undefined ? {} : { cause: details.cause });
    this.name = new.target.name;
    this.exitCode = exitCode;
    this.details = details;
  }
}

function errorText(what: string, { expected, got, hint, cause }: ErrorDetails): string {
  let text = what;
  if (expected !== undefined) text += `: expected ${expected}`;
  if (got !== undefined) text += `${expected === undefined ? ":" : ","} got ${got}`;
  if (cause instanceof Error) text += ` (${cause.message})`;
  if (hint !== undefined) text += `\nhint: ${hint}`;
  return text;
}

/** An operation was called with shapes or types that do not fit: a programming mistake. */
export class ShapeError extends FedspineError {}

/** Linear memory is exhausted, or a tensor is used after its step. */
export class ArenaError extends FedspineError {}

/** A plan needs more memory than there is for tensors. */
export class MemoryError extends FedspineError {
  /** What there is for tensors. */
  readonly tensorBytes: number;

  constructor(what: string, tensorBytes: number, details: ErrorDetails = {}) {
    super(what, details, ExitCode.unavailable);
    this.tensorBytes = tensorBytes;
  }
}

/** No kernel module can run here, or one fails validation. */
export class KernelError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.unavailable);
  }
}

/** A model or adapter file is damaged or does not fit the model. */
export class CheckpointError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.data);
  }
}

/** A user's data file cannot be used as it is. */
export class DataError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.data);
  }
}

/** A command line or a configuration file is wrong. */
export class ConfigError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.usage);
  }
}

/** A message from the network is malformed or of another version: dropped and counted, never fatal. */
export class ProtocolError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.data);
  }
}

/** The link to the broker is down or was refused. */
export class TransportError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.unavailable);
  }
}

/** A round cannot be completed: too few devices or too few usable updates. */
export class RoundError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.failed);
  }
}

/** Another process has taken over what this one did: it must not do anything any more. */
export class DisplacedError extends FedspineError {
  constructor(what: string, details: ErrorDetails = {}) {
    super(what, details, ExitCode.displaced);
  }
}
