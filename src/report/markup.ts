/** HTML as text that is escaped unless it says that it is markup. */

/** Text that is HTML already. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

type Part = string | number | Markup | null | readonly Part[];

/** A template literal whose values are escaped, but for {@link Markup}; lists are joined, null is nothing. */
export function html(strings: TemplateStringsArray, ...values: readonly Part[]): Markup {
  return new Markup(strings.map((text, i) => text + partText(values[i] ?? null)).join(""));
}

/** `text` with the characters replaced that mean something in HTML, attributes included. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function partText(part: Part): string {
  if (part === null) return "";
  if (part instanceof Markup) return part.text;
  return typeof part === "object" ? part.map(partText).join("") : escapeHtml(String(part));
}
