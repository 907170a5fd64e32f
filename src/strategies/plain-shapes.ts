/** Reads plain data, options and saved states alike, into checked values without a schema library. */
import { closest } from "../base/closest.ts";
import { ConfigError } from "../base/errors.ts";

/** Gives the checked value back or throws ConfigError; `at` names the place for the message. */
export type Shape<T> = (value: unknown, at: string) => T;
export type ShapeOf<S> = S extends Shape<infer T> ? T : never;

type Fields = Readonly<Record<string, Shape<unknown>>>;
type Fielded<F extends Fields> = { [key in keyof F]: ShapeOf<F[key]> };

/** A finite number in [min, max]. */
export function number(min = -Infinity, max = Infinity): Shape<number> {
  return (value, at) => {
    if (typeof value === "number" && Number.isFinite(value) && value >= min && value <= max)
      return value;
    throw refused(at, `a number in [${min}, ${max}]`, value);
  };
}

/** An integer in [min, max]. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Shape<number> {
  const inRange = number(min, max);
  return (value, at) => {
    if (Number.isSafeInteger(value)) return inRange(value, at);
    throw refused(at, "an integer", value);
  };
}

export const text: Shape<string> = (value, at) => {
  if (typeof value === "string") return value;
  throw refused(at, "a text", value);
};

export const flag: Shape<boolean> = (value, at) => {
  if (typeof value === "boolean") return value;
  throw refused(at, "true or false", value);
};

/** One of the given texts. */
export function oneOf<const T extends string>(...known: readonly T[]): Shape<T> {
  return (value, at) => {
    const found = known.find((item) => item === value);
    if (found !== undefined) return found;
    throw refused(at, known.join(" or "), value);
  };
}

/** Somebody else's state, read by its owner. */
export const opaque: Shape<unknown> = (value) => value;

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value, at) => (value === null ? null : shape(value, at));
}

export function list<T>(shape: Shape<T>): Shape<T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw refused(at, "a list", value);
    return value.map((item: unknown, i) => shape(item, `${at}[${i}]`));
  };
}

/** A Map that was saved as the list of its entries. */
export function entries<T>(shape: Shape<T>): Shape<Map<string, T>> {
  const pairs = list<readonly [string, T]>((value, at) => {
    if (!Array.isArray(value) || value.length !== 2) throw refused(at, "a name and a value", value);
    const name = text(value[0], at);
    return [name, shape(value[1], `${at} ${name}`)];
  });
  return (value, at) => new Map(pairs(value, at));
}

/** An object with exactly these fields. */
export function fields<F extends Fields>(shapes: F): Shape<Fielded<F>> {
  return (value, at) => readFields(shapes, value, at);
}

/** Options over their defaults; a key that no option has is refused with the nearest one as a hint. */
export function options<F extends Fields>(
  shapes: F,
  defaults: Fielded<F>,
  at: string,
): (value: unknown) => Fielded<F> {
  return (value = {}) => {
    if (!isRecord(value)) throw refused(at, "an object of options", value);
    return readFields(shapes, { ...defaults, ...value }, at);
  };
}

function readFields<F extends Fields>(shapes: F, value: unknown, at: string): Fielded<F> {
  if (!isRecord(value)) throw refused(at, "an object", value);
  const known = Object.keys(shapes);
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(shapes, key)) continue;
    const near = closest(key, known);
    throw new ConfigError(`${at}: unknown key ${key}`, {
      hint: near === undefined ? `known keys: ${known.join(", ")}` : `did you mean ${near}?`,
    });
  }
  return Object.fromEntries(
    Object.entries(shapes).map(([key, shape]) => [key, shape(value[key], `${at}: ${key}`)]),
  ) as Fielded<F>;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(at: string, expected: string, value: unknown): ConfigError {
  const got = typeof value === "object" && value !== null ? "an object" : String(value);
  return new ConfigError(at, { expected, got: got.slice(0, 80) });
}
