"""The results of an experiment as rows for a pane: sentences, claims, tables in blocks as wide as there is room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import fit, printable_line

if TYPE_CHECKING:
    from cogtui.analysis.config_differences import Difference
    from cogtui.analysis.tables import TextTable

_VERDICTS: dict[str, tuple[str, StyleName]] = {
    "holds": ("✓", "good"), "does not hold": ("✗", "bad"), "undecided": ("?", "warn"),
}  # fmt: skip
Rows = list[list[Part]]


def wrapped(text: str, width: int, *, indent: int = 0, style: StyleName = "", sign: Part = ("", "")) -> Rows:
    """Return a text wrapped below itself, after a sign in the indent of its first row."""
    layout = TextLayout(text[:4000], max(10, width - indent))
    rows: Rows = []
    for line in range(len(layout)):
        start, end = layout.bounds(line)
        head: Part = (fit(sign[0], indent), sign[1]) if line == 0 else (" " * indent, "")
        rows.append([head, (layout.show(text[start:end]), style)])
    return rows


def claim_table_rows(table: TextTable, width: int) -> Rows:
    """Return the claims: a row with the verdict of each, its comparisons below."""
    rows: Rows = []
    for verdict, text in table.rows:
        if verdict:
            glyph, style = _VERDICTS.get(verdict, ("·", "dim"))
            rows += wrapped(f"{text}: {verdict}", width, indent=2, style="strong", sign=(glyph, style))
        else:
            rows += wrapped(text, width, indent=4, style="dim")
    return rows


def table_rows(table: TextTable, width: int) -> Rows:
    """Return a table below its title; with more columns than fit, in blocks that repeat the first column."""
    rows: Rows = wrapped(table.title, width, style="strong")
    cells = [[printable_line(cell, 80) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(table.head))]
    first = min(widths[0], max(12, width // 2))
    at = 1
    while at < len(widths):
        block: list[int] = []
        room = width - first
        while at < len(widths) and (not block or room >= widths[at] + 2):
            block.append(at)
            room -= widths[at] + 2
            at += 1
        for line, row in enumerate(cells):
            style: StyleName = "dim" if line == 0 else ""
            parts: list[Part] = [(fit(row[0], first), style)]
            parts += [(f"  {fit(row[column], widths[column], right=True)}", style) for column in block]
            rows.append(parts)
        if at < len(widths):
            rows.append([])
    return rows


def difference_rows(title: str, differences: Sequence[Difference], width: int) -> Rows:
    """Return the differences of two sides as three columns, long values wrapped."""
    rows: Rows = wrapped(title, width, style="strong")
    if not differences:
        return [*rows, [("no difference in matrix, overrides, configs, code or packages", "dim")]]
    name = min(max(cell_len(one.name) for one in differences), max(14, width // 3))
    side = max(10, (width - name - 4) // 2)
    for one in differences:
        left, right = (_lines(text, side) for text in (one.left, one.right))
        labels = _lines(one.name, name)
        for line in range(max(len(left), len(right), len(labels))):
            parts: list[Part] = [(fit(_line(labels, line), name), "dim")]
            parts += [("  ", ""), (fit(_line(left, line), side), ""), ("  ", ""), (_line(right, line), "")]
            rows.append(parts)
    return rows


def _lines(text: str, width: int) -> list[str]:
    layout = TextLayout(text[:2000], max(4, width))
    found = [layout.show(text[slice(*layout.bounds(line))]) for line in range(min(8, len(layout)))]
    return [*found[:-1], f"{found[-1][: width - 1]}…"] if len(layout) > 8 else found


def _line(lines: Sequence[str], number: int) -> str:
    return lines[number] if number < len(lines) else ""


def joined(sections: Iterable[Rows]) -> Rows:
    """Return sections one below the other, with an empty row between."""
    rows: Rows = []
    for section in sections:
        if section:
            rows += [[], *section] if rows else section
    return rows
