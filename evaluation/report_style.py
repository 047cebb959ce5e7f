"""The style sheet of the report."""

STYLE = """
:root { color-scheme: light; --ink: #1d2329; --soft: #5c6670; --rule: #cfd5db; --accent: #0072b2; }
* { box-sizing: border-box; }
html { background: #f3f4f6; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 60rem; padding: 3rem 4rem 4rem; background: #fff; color: var(--ink);
  font: 1.0625rem/1.55 Charter, "Bitstream Charter", "Sitka Text", Cambria, "Noto Serif", serif; }
h1, h2, h3, table, figcaption, .legend, .made, .warnings, dt {
  font-family: system-ui, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); font-size: 1.4rem;
  line-height: 1.25; overflow-wrap: anywhere; }
h3 { margin: 2.25rem 0 .5rem; font-size: 1.05rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; }
a { color: var(--accent); }
.made { color: var(--soft); font-size: .875rem; }
.name { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .87em; }
.warnings { margin: 1.5rem 0; padding: .9rem 1.25rem 1rem; border: 1px solid #e3b7a0; border-left: 5px solid #d55e00;
  background: #fff6f0; font-size: .95rem; overflow-wrap: anywhere; }
.warnings h2 { margin: 0 0 .35rem; padding: 0; border: 0; color: #a34700; font-size: 1rem; }
.warnings ul { margin: 0; padding-left: 1.2rem; }
.scroll { overflow: auto; max-height: 92vh; }
table { border-collapse: separate; border-spacing: 0; min-width: 100%; font-size: .875rem; line-height: 1.3;
  font-variant-numeric: lining-nums tabular-nums; border: solid var(--ink); border-width: 2px 0; }
th, td { padding: .38rem .5rem; text-align: right; vertical-align: top; }
thead th { position: sticky; top: 0; z-index: 2; background: #fff; border-bottom: 1px solid var(--ink);
  vertical-align: bottom; font-weight: 600; }
thead th.figures { padding-right: calc(.5rem + .85em); }
thead th.name { white-space: normal; overflow-wrap: anywhere; min-width: 8.5rem; max-width: 13rem; }
th:first-child { position: sticky; left: 0; z-index: 1; background: #fff; text-align: left; font-weight: 400; }
tbody th:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 5rem; max-width: 22rem; }
thead th:first-child { z-index: 3; font-weight: 600; }
tbody tr:nth-child(even) > * { background: #f7f8fa; }
tfoot { display: table-row-group; }
tfoot > tr > * { border-top: 1px solid var(--ink); }
td.heat, td.heat small { color: var(--ink); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
td small { display: block; white-space: nowrap; color: var(--soft); font-size: .82em; padding-right: 1.04em; }
.value { white-space: nowrap; }
.value b { font-weight: inherit; -webkit-text-stroke: .035em; }
.mark { display: inline-block; width: .85em; text-align: left; font-weight: 400; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; padding: .6rem .8rem; background: #f3f4f6;
  font-size: .8rem; line-height: 1.4; }
figcaption { margin: .4rem 0 .6rem; font-size: .9rem; line-height: 1.45; overflow-wrap: anywhere; }
.legend { margin: .45rem 0 0; color: var(--soft); font-size: .8rem; }
figure { margin: 2rem 0; }
figure .scroll { max-height: none; }
figure img { display: block; max-width: 100%; height: auto; }
dt { margin-top: .6rem; font-size: .9rem; font-weight: 600; }
dd { margin: 0; }
@media (max-width: 46rem) {
  body { padding: 1.25rem 1rem 2rem; font-size: 1rem; }
  h1 { font-size: 1.45rem; }
  figure img { max-width: none; width: 40rem; }
}
@media print {
  @page { margin: 18mm 16mm; }
  html { background: none; font-size: 80%; }
  body { max-width: none; padding: 0; }
  .scroll { overflow: visible; max-height: none; }
  th, td { padding: .25rem .4rem; }
  th, thead th { position: static; }
  tr, figure, .warnings { break-inside: avoid; }
  h2, h3, .table figcaption { break-after: avoid; }
  figure img { max-width: 82%; max-height: 220mm; }
}
"""
