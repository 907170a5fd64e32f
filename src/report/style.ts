/** The style sheet of the report page. */
import { toneDeclarations } from "./tones.ts";

/** CSS text; colours only by custom properties, one set per scheme. */
export function styleSheet(): string {
  return `
:root{--page:#fbfcfd;--card:#fff;--edge:#e1e6ec;--stripe:#f4f6f9;${toneDeclarations("light")}}
@media (prefers-color-scheme:dark){
:root{--page:#0f151c;--card:#161e27;--edge:#2a3440;--stripe:#1b242e;${toneDeclarations("dark")}}
}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;
-webkit-text-size-adjust:100%}
main{max-width:1160px;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:.1rem 0 .4rem;overflow-wrap:anywhere;letter-spacing:-.01em}
h2{font-size:1.05rem;line-height:1.3;margin:0 0 .6rem}
p{margin:0}
.kicker{color:var(--muted);font-size:.85rem;letter-spacing:.06em;text-transform:uppercase}
.state,.caption,figcaption{color:var(--muted)}
.caption{margin:-.3rem 0 .8rem}
.caption,figcaption{font-size:.875rem;line-height:1.45}
.key{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.75rem;margin:1.75rem 0}
.key div{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:.8rem 1rem}
.key dt{color:var(--muted);font-size:.85rem}
.key dd{margin:0;font-size:1.55rem;line-height:1.3;font-weight:600;font-variant-numeric:tabular-nums}
.key dd.note{font-size:.8rem;font-weight:400;color:var(--muted)}
.figures{display:grid;grid-template-columns:1fr 1fr;gap:.75rem}
figure{margin:0;display:flex;flex-direction:column;padding:1rem 1.1rem;background:var(--card);border:1px solid var(--edge);border-radius:8px;min-width:0}
figure.alone{grid-column:1/-1}
figure svg{display:block;width:100%;height:auto}
figcaption{margin-top:.6rem}
.narrow{display:none}
section,details{margin-top:2.25rem}
summary{cursor:pointer;font-weight:600;font-size:1.05rem}
details .scroll{margin-top:.8rem}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--edge);border-radius:8px}
table{border-collapse:collapse;width:100%;font-size:.8rem;line-height:1.4}
th,td{padding:.36rem .5rem;vertical-align:top}
th{font-weight:600;color:var(--muted);border-bottom:1px solid var(--edge);white-space:nowrap;text-align:left}
tbody tr:nth-child(even){background:var(--stripe)}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.name{overflow-wrap:anywhere;min-width:6rem}
td.name:first-child{overflow-wrap:normal;white-space:nowrap}
:focus-visible{outline:2px solid var(--series-1);outline-offset:2px}
@media (max-width:900px){.figures{grid-template-columns:1fr}}
@media (max-width:520px){
main{padding:1.5rem .75rem 3rem}
h1{font-size:1.5rem}
.wide{display:none}
.narrow{display:block}
figure{padding:.8rem .7rem}
.key{grid-template-columns:1fr 1fr;gap:.5rem}
.key div{padding:.6rem .75rem}
.key dd{font-size:1.3rem}
}
@media print{figure,.key div{break-inside:avoid}}
`;
}
