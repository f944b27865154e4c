"""The report as an HTML page: one file without scripts, for telephones, screens and paper, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from cogtui.analysis.chart import SMALL, render_line_chart
from cogtui.analysis.claims import Claim
from cogtui.analysis.report.content import VERDICT_GLYPHS, CurveChart, ReportContent
from cogtui.analysis.report.page_style import PAGE_STYLE
from cogtui.analysis.report.samples import SampleTrace
from cogtui.analysis.sentences import describe_comparison
from cogtui.analysis.tables import HOW_TO_READ, MISSING, TextTable
from cogtui.store.export.html import highlight_html, legend_html, other_styles, safe, span_table_html
from cogtui.store.export.style import STYLE
from cogtui.store.query.serialize import shown_judgements
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, behaviors_in_use
from pipelines.text_safety import picture_controls

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_LONGEST_SHOWN: Final = 6000
"""Characters of a completion on the page; the rest is counted."""
_LONG_CELL: Final = 40
"""Characters from which a cell is wrapped."""
_LONGEST_CELL: Final = 120
"""Characters of a last cell from which each row is a paragraph."""
_VERDICT_CLASSES: Final = {"holds": "holds", "does not hold": "fails", "undecided": "open"}


def render_html(content: ReportContent) -> str:
    """Render the page."""
    behaviors = behaviors_in_use(
        one.behavior for sample in content.samples.traces for one in shown_judgements(sample.detail)
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="generator" content="cogtui">',
            f"<title>{safe(content.name, '')}</title>",
            f"<style>{STYLE}{other_styles(behaviors)}{PAGE_STYLE}</style></head><body>",
            f"<h1>{safe(content.name, '')}</h1>",
            *_question(content),
            *_section("What came out", [_paragraphs(content.answer), _list("Left out", content.left_out)]),
            *_section("Set-up", map(_table, content.setup)),
            *_section("Claims", _claims(content)),
            *_section("Figures", _figures(content)),
            *_section("Tables", [_soft([f"{HOW_TO_READ}."]), *map(_table, content.tables), _soft(content.table_notes)]),
            *_section("Six sample traces", [_soft([content.samples.population]), *_samples(content, behaviors)]),
            *_section("Judges", [_paragraphs(content.agreement), *map(_table, content.agreement_tables)]),
            *_section("Provenance", [_paragraphs(content.provenance), _folded(content.stages)]),
            *_section("How to reproduce", _reproduce(content)),
            "</body></html>\n",
        ]
    )


def _section(title: str, parts: Iterable[str]) -> list[str]:
    found = [part for part in parts if part]
    return [f"<section><h2>{title}</h2>", *found, "</section>"] if found else []


def _question(content: ReportContent) -> list[str]:
    asked = safe(content.question) if content.question else "The recipe states no question (a line # shows: … would)."
    stated = _list("Written down before the run", content.stated_claims)
    return [f'<p class="question">{asked}</p>', _paragraphs(content.about), stated]


def _claims(content: ReportContent) -> list[str]:
    if not content.claims:
        return ["<p>There is nothing to compare: a claim needs finished runs of two conditions.</p>"]
    return [*map(_claim, content.claims), _soft(content.claim_notes)]


def _claim(claim: Claim) -> str:
    verdict = f"{VERDICT_GLYPHS[claim.verdict]} {claim.verdict}"
    listed = "".join(f"<li>{safe(describe_comparison(one))}</li>" for one in claim.comparisons)
    return (
        f'<div class="claim {_VERDICT_CLASSES[claim.verdict]}"><p><b class="verdict">{verdict}</b> '
        f"{safe(claim.text)}</p><ul>{listed}</ul></div>"
    )


def _figures(content: ReportContent) -> list[str]:
    if not content.figures:
        return []
    return [_soft([content.figure_note]), '<div class="figures">', *map(_figure, content.figures), "</div>"]


def _figure(chart: CurveChart) -> str:
    lines = [replace(line, name=picture_controls(line.name)) for line in chart.lines]
    return f"<figure>{render_line_chart(picture_controls(chart.title), lines, SMALL)}</figure>"


def _samples(content: ReportContent, behaviors: Sequence[str]) -> list[str]:
    if not content.samples.traces:
        return []
    return [f'<p class="legend">{legend_html(behaviors)}</p>', *map(_sample, content.samples.traces)]


def _sample(sample: SampleTrace) -> str:
    detail, row = sample.detail, sample.detail.row
    counts = ", ".join(
        f"{BEHAVIOR_LETTERS[one.behavior]} {one.count if one.count is not None else f'{MISSING} ({one.status})'}"
        for one in shown_judgements(detail)
    )
    correct = {True: "correct", False: "wrong", None: "not scored"}[row.correct]
    reward = MISSING if row.reward is None else f"{row.reward:g}"
    seed = "" if row.seed is None else f", seed {row.seed}"
    facts = [
        f"{row.condition or MISSING}{seed}, step {row.step}",
        row.describe() if row.task else row.problem_id,
        f"{correct}, reward {reward}",
        f"{sample.judge}: {counts}" if sample.judge else "not judged",
        f"cogtui trace {row.id}",
    ]
    left = len(detail.completion) - _LONGEST_SHOWN
    shown = replace(detail, completion=detail.completion[:_LONGEST_SHOWN]) if left > 0 else detail
    more = f'<p class="soft">… and {left:,} characters more</p>' if left > 0 else ""
    return (
        f"<article><h3>{safe(sample.rule)}</h3>"
        f'<p class="facts">{"".join(f"<span>{safe(fact)}</span>" for fact in facts)}</p>'
        f"<pre>{highlight_html(shown)}</pre>{more}{span_table_html(shown)}</article>"
    )


def _reproduce(content: ReportContent) -> list[str]:
    commands = "\n".join(content.commands)
    return [
        f"<pre>{safe(commands)}</pre>",
        _soft(content.reproduce_notes),
        f"<details><summary>Recipe</summary><pre>{safe(content.recipe)}</pre></details>",
    ]


def _table(table: TextTable) -> str:
    if any(len(row[-1]) > _LONGEST_CELL for row in table.rows):
        return _entries(table)
    return f'<div class="wide" tabindex="0"><table><caption>{safe(table.title)}</caption>{_rows(table)}</table></div>'


def _entries(table: TextTable) -> str:
    """Return a table whose cells are too long for columns: a paragraph for each row."""
    entries = []
    for name, *cells in table.rows:
        facts = [f"{title} {safe(cell)}" for title, cell in zip(table.head[1:-1], cells[:-1], strict=True) if cell]
        last = f"<br><code>{safe(cells[-1])}</code>" if cells[-1] else ""
        entries.append(f'<p class="entry"><b>{safe(name)}</b> <span class="soft">{"; ".join(facts)}</span>{last}</p>')
    return f"<h3>{safe(table.title)}</h3>{''.join(entries)}"


def _folded(table: TextTable) -> str:
    return (
        f"<details><summary>{safe(table.title)} ({len(table.rows)})</summary>"
        f'<div class="wide"><table>{_rows(table)}</table></div></details>'
    )


def _rows(table: TextTable) -> str:
    head = "".join(f"<th>{safe(cell)}</th>" for cell in table.head)
    body = "".join(f"<tr>{''.join(map(_table_cell, row))}</tr>\n" for row in table.rows)
    return f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"


def _table_cell(text: str) -> str:
    long = ' class="long"' if len(text) > _LONG_CELL else ""
    return f"<td{long}>{safe(text)}</td>"


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{safe(text)}</p>" for text in texts)


def _soft(texts: Iterable[str]) -> str:
    return "".join(f'<p class="soft">{safe(text)}</p>' for text in texts)


def _list(title: str, texts: Sequence[str]) -> str:
    return f"<p>{title}:</p><ul>{''.join(f'<li>{safe(text)}</li>' for text in texts)}</ul>" if texts else ""
