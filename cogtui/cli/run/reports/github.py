"""A run as Markdown for the summary of a GitHub job."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from cogtui.cli.run.reports.outcome import RunOutcome
from cogtui.cli.run.summary import result_tables
from jobs.state.types import STATE_GLYPHS
from pipelines.text_safety import picture_controls

_ROWS: Final = 200
"""Rows of a table; GitHub takes a summary of at most one MiB."""
MAX_BYTES: Final = 900_000
_ACTIVE: Final = re.compile(r"[\\`*_{}\[\]()<>#!|&~@:^$\"']|^[-+=]|(?<=www)\.|(?<=^\d)\.|(?<=^\d\d)\.", re.IGNORECASE)
"""Signs that mean something in Markdown, HTML, or GitHub's mentions, links and formulas."""
_MARKS: Final = {"true": "✓", "false": "✗", "error": "!", "skipped": "·"}


def markdown_summary(outcome: RunOutcome) -> str:
    """Return the summary: how it ended, what is not done, the results, assertions and warnings."""
    lines = [f"## {'✓' if outcome.ok else '✗'} {markdown_text(outcome.headline())}", ""]
    error = outcome.other_error
    if error is not None:
        lines += [markdown_text(line) + "  " for line in str(error).splitlines()] + [""]
    undone = [stage for stage in outcome.stages if outcome.state_of(stage) != "done"]
    if undone:
        rows = []
        for stage in undone:
            state, name = outcome.states.get(stage.key), outcome.state_of(stage)
            rows.append((f"{STATE_GLYPHS[name]} {name}", stage.title, stage.key, "" if state is None else state.reason))
        lines += _table([("state", "stage", "key", "reason"), *rows])
    checks = [(_MARKS[one.outcome], one.text, one.message or one.cell) for one in outcome.assertions]
    checks += [(_MARKS["skipped"], text, "not evaluated") for text in outcome.unevaluated()]
    if checks:
        lines += ["### assertions", "", *_table([("", "assertion", "values"), *checks])]
    for table in result_tables(outcome.finished):
        lines += [f"### {markdown_text(table[0][0])}", "", *_table(table)]
    warnings = outcome.warnings()
    if warnings:
        lines += ["### warnings", "", *(f"- {markdown_text(warning)}" for warning in warnings[:_ROWS]), ""]
    return _cut("\n".join(lines))


def markdown_text(text: str) -> str:
    """Return a text on one line in which every sign that Markdown or HTML would read is an entity."""
    flat = picture_controls(" ".join(text.split()))
    return _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", flat)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    shown = rows[: _ROWS + 1]
    lines = [_row(shown[0]), f"|{' --- |' * len(shown[0])}", *(_row(row) for row in shown[1:])]
    if len(rows) > len(shown):
        lines += ["", f"… and {len(rows) - len(shown):,} more"]
    return [*lines, ""]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(markdown_text(cell) for cell in cells)} |"


def _cut(text: str) -> str:
    """Return the text without the last lines that GitHub would not take."""
    if len(text.encode("utf-8", "replace")) <= MAX_BYTES:
        return text
    kept: list[str] = []
    size = 0
    for line in text.split("\n"):
        size += len(line.encode("utf-8", "replace")) + 1
        if size > MAX_BYTES:
            break
        kept.append(line)
    return "\n".join([*kept, "", "… cut: GitHub takes no more", ""])
