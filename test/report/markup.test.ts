/** Values in templates are text unless they say that they are markup. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeHtml, html, Markup } from "../../src/report/markup.ts";

test("what is put into a template is escaped, markup and lists of it are not", () => {
  const name = `<img src=x onerror="alert('1')">&`;
  const page = html`<p title="${name}">${[html`<b>${1}</b>`, new Markup("<i></i>"), null]}</p>`;
  assert.equal(page.text, `<p title="${escapeHtml(name)}"><b>1</b><i></i></p>`);
  assert.doesNotMatch(escapeHtml(name), /[<>"']|&(?!#\d+;)/);
});
