"""The report as Markdown: the same sections without figures and highlights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cogtui.analysis.report.content import VERDICT_GLYPHS, ReportContent
from cogtui.analysis.report.samples import SampleTrace
from cogtui.analysis.sentences import describe_comparison
from cogtui.analysis.tables import HOW_TO_READ, MISSING, TextTable
from pipelines.text_safety import picture_controls


def render_markdown(content: ReportContent) -> str:
    """Render the report."""
    lines = [
        f"# {escape_markdown(content.name)}",
        "",
        escape_markdown(content.question or "The recipe states no question."),
    ]
    for text in content.about:
        lines += ["", escape_markdown(text)]
    lines += _items("Written down before the run:", content.stated_claims)
    lines += _section("What came out", content.answer)
    lines += _items("Left out:", content.left_out)
    lines += ["", "## Set-up", *_tables(content.setup)]
    lines += ["", "## Claims"]
    for claim in content.claims:
        lines += ["", f"**{VERDICT_GLYPHS[claim.verdict]} {claim.verdict}** {escape_markdown(claim.text)}", ""]
        lines += [f"- {escape_markdown(describe_comparison(one))}" for one in claim.comparisons]
    for note in content.claim_notes or ([] if content.claims else ["There is nothing to compare."]):
        lines += ["", escape_markdown(note)]
    lines += ["", "## Tables", "", f"{HOW_TO_READ}.", *_tables(content.tables)]
    lines += _items("", content.table_notes)
    lines += _section("Six sample traces", [content.samples.population])
    for sample in content.samples.traces:
        lines += _sample(sample)
    lines += _section("Judges", content.agreement) + _tables(content.agreement_tables)
    lines += _section("Provenance", content.provenance) + _tables([content.stages])
    lines += ["", "## How to reproduce", "", *_fenced("\n".join(content.commands), "")]
    for note in content.reproduce_notes:
        lines += ["", escape_markdown(note)]
    lines += ["", "## Recipe", "", *_fenced(content.recipe, "toml")]
    return "\n".join(lines) + "\n"


def escape_markdown(text: str) -> str:
    """Escape a text for a paragraph or a table cell."""
    shown = picture_controls(text, "").replace("\\", "\\\\")
    for sign in "|`*_<[":
        shown = shown.replace(sign, f"\\{sign}")
    return shown


def _section(title: str, paragraphs: Iterable[str]) -> list[str]:
    return ["", f"## {title}", *(line for text in paragraphs for line in ("", escape_markdown(text)))]


def _items(title: str, texts: Sequence[str]) -> list[str]:
    head = ["", title] if title else []
    return [*head, "", *(f"- {escape_markdown(text)}" for text in texts)] if texts else []


def _tables(tables: Iterable[TextTable]) -> list[str]:
    lines = []
    for table in tables:
        lines += ["", f"### {escape_markdown(table.title)}", "", _row(table.head), _row(["---"] * len(table.head))]
        lines += [_row(row) for row in table.rows]
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell if cell == '---' else escape_markdown(cell) for cell in cells)} |"


def _sample(sample: SampleTrace) -> list[str]:
    row = sample.detail.row
    reward = MISSING if row.reward is None else f"{row.reward:g}"
    facts = f"{row.condition or MISSING}, step {row.step}, reward {reward}, {sample.judge or 'not judged'}, {row.id}"
    return [
        "",
        f"### {escape_markdown(sample.rule)}",
        "",
        escape_markdown(facts),
        "",
        *_fenced(sample.detail.completion, ""),
    ]


def _fenced(text: str, language: str) -> list[str]:
    """Return a fenced block whose fence does not occur in the text."""
    shown = picture_controls(text, "\n\t").rstrip("\n")
    fence = "```"
    while fence in shown:
        fence += "`"
    return [f"{fence}{language}", shown, fence]
