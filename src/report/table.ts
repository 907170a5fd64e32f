/** Tables of a page: numbers to the right, names to the left. */
import { html, type Markup } from "./markup.ts";

export interface Column<Row> {
  readonly name: string;
  readonly cell: (row: Row) => string;
  /** Names and reasons; the rest are numbers. */
  readonly isText?: boolean;
}

/** A table that scrolls by itself where the page is narrow. Columns without any content are left out. */
export function tableOf<Row>(
  caption: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): Markup {
  const filled = columns.filter(({ cell }) => rows.some((row) => cell(row) !== ""));
  const kind = ({ isText }: Column<Row>): string => (isText === true ? "name" : "number");
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${caption}">
    <table>
      <thead>
        <tr>
          ${filled.map((column) => html`<th scope="col" class="${kind(column)}">${column.name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr>
              ${filled.map((column) => html`<td class="${kind(column)}">${column.cell(row)}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div> `;
}
