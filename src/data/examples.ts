/** A labelled text, a set of them, and the fixed order of their labels. */

/** One text with its class; `group` names the natural owner (a device, a site), where known. */
export interface Example {
  readonly text: string;
  readonly label: string;
  readonly group?: string;
}

/** `labels` holds every class once; its order is the class index used by models. */
export interface Dataset {
  readonly examples: readonly Example[];
  readonly labels: readonly string[];
}

/** The labels of all examples, integers by value and anything else by code unit: the same everywhere. */
export function sortedLabels(examples: Iterable<Example>): string[] {
  const labels = new Set<string>();
  for (const { label } of examples) labels.add(label);
  const list = [...labels];
  const isInteger = list.every((label) => /^-?\d{1,15}$/.test(label));
  return list.sort(isInteger ? (a, b) => Number(a) - Number(b) : byCodeUnit);
}

export function createDataset(examples: readonly Example[], labels?: readonly string[]): Dataset {
  return { examples, labels: labels ?? sortedLabels(examples) };
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
