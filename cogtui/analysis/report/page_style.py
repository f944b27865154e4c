"""What a report's style sheet has beyond that of exported rollouts: sections, claims, figures, paper."""

from typing import Final

from cogtui.palette import DARK, LIGHT
from cogtui.store.export.style import light_variables

PAGE_STYLE: Final = (
    f"""
:root {{ --good: {LIGHT.done}; --bad: {LIGHT.failed}; --accent: {LIGHT.accent}; --panel: {LIGHT.bar}; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --good: {DARK.done}; --bad: {DARK.failed}; --accent: {DARK.accent}; --panel: {DARK.bar}; }}
}}
"""
    """
body { max-width: 70rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; }
h2 { font-family: inherit; font-size: 1.25rem; margin-top: 2.2rem; }
section { border-top: 2px solid var(--line); margin-top: 2rem; }
section h2 { margin-top: 1rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; }
.question { font-size: 1.2rem; margin: .2rem 0 1rem; }
p, li { max-width: 46rem; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
.claim { border-left: 4px solid var(--accent); padding: .1rem 0 .1rem .9rem; margin: 1rem 0; }
.claim p { margin: 0; }
.claim.holds { border-color: var(--good); } .claim.holds .verdict { color: var(--good); }
.claim.fails { border-color: var(--bad); } .claim.fails .verdict { color: var(--bad); }
.claim.open .verdict { color: var(--accent); }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; }
svg { width: 100%; height: auto; display: block; }
.wide { margin: 1rem 0; }
table { width: auto; min-width: 50%; font-variant-numeric: tabular-nums; }
td, caption { overflow-wrap: normal; }
caption { text-align: left; font: 600 1rem/1.4 system-ui, sans-serif; padding-bottom: .3rem; white-space: nowrap; }
th { color: var(--soft); font-weight: 400; }
td { white-space: nowrap; }
td.long { white-space: normal; min-width: 18rem; }
article { background: var(--panel); border: 0; border-radius: 6px; padding: .8rem 1rem; margin-top: 1rem; }
.facts { color: var(--soft); margin: 0; }
.facts { max-width: none; }
.facts span { margin-right: 1.1rem; display: inline-block; }
.entry { margin: .5rem 0; }
code { overflow-wrap: anywhere; }
summary { cursor: pointer; color: var(--soft); margin-top: .5rem; }
@media (max-width: 40rem) { body { padding: 1rem; } }
@media print {
"""
    f"  :root {{ color-scheme: light; {light_variables()}\n"
    f"    --good: {LIGHT.done}; --bad: {LIGHT.failed}; --accent: {LIGHT.accent}; --panel: #fff; }}"
    """
  @page { margin: 16mm 14mm; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 10pt; max-width: none; padding: 0; background: #fff; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  td, td.long, caption { white-space: normal; min-width: 0; }
  thead { display: table-header-group; }
  article { border: 1px solid var(--line); }
  h2, h3 { break-after: avoid; }
  .claim, figure, tr { break-inside: avoid; }
  .figures { grid-template-columns: 1fr 1fr; }
  details > summary { color: inherit; }
  article details { display: none; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""
)
